package fault

const (
	VpcCookie Reason = vpcBlock + iota
)

// vpc words the reasons of package vpc.
var vpc = [...]row{
	VpcCookie - vpcBlock: {class: InvalidSource, field: "cookie", text: "invalid VPC image"},
}
