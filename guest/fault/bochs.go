package fault

const (
	BochsMagic Reason = bochsBlock + iota
	BochsCatalogLarge
	BochsExtentSmall
	BochsExtentPower
	BochsExtentLarge
	BochsCatalogSmall
	BochsBitmap
	BochsExtentOffset
)

// bochs words the reasons of package bochs.
var bochs = [...]row{
	BochsMagic - bochsBlock: {class: InvalidSource, field: "magic",
		text: "Image not in Bochs format"},
	BochsCatalogLarge - bochsBlock: {class: LimitExceeded, field: "catalog",
		text: "Catalog size is too large"},
	BochsExtentSmall - bochsBlock: {class: Corrupt, field: "extent",
		text: "Extent size must be at least 512"},
	BochsExtentPower - bochsBlock: {class: Corrupt, field: "extent",
		text: "Extent size {0} is not a power of two"},
	BochsExtentLarge - bochsBlock: {class: LimitExceeded, field: "extent",
		text: "Extent size {0} is too large"},
	BochsCatalogSmall - bochsBlock: {class: Corrupt, field: "catalog",
		text: "Catalog size is too small for this disk size"},
	BochsBitmap - bochsBlock: {class: Corrupt, field: "bitmap",
		text: "a bitmap of {0} bytes is too small for the {1} sectors of an extent"},
	BochsExtentOffset - bochsBlock: {class: Corrupt, field: "catalog entry",
		text: "extent {0:#x} lies beyond the end of any file"},
}
