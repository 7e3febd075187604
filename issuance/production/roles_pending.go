package production

// Roles that the registry does not name yet; removed when it does.
const (
	roleProducer = "producer" // 制卡管理员
	roleSystem   = "system"
	roleBank     = "bank"
)
