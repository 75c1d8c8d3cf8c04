package fault

const (
	DmgTrailer Reason = dmgBlock + iota
)

// dmg words the reasons of package dmg.
var dmg = [...]row{
	DmgTrailer - dmgBlock: {class: InvalidSource, field: "koly", text: "Could not locate UDIF trailer in dmg file"},
}
