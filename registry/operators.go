package registry

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"time"
	"unicode/utf8"
)

// Roles (岗位).
const (
	RoleClerk      = "clerk"      // 经办
	RoleReviewer   = "reviewer"   // 复核
	RoleIssuer     = "issuer"     // 制卡
	RoleSupervisor = "supervisor" // 主管
	RoleCashier    = "cashier"    // 医院、药店收费
	RoleAdmin      = "admin"      // 系统管理
	// RoleProducer orders cards in batches; RoleStorekeeper keeps blank and finished ones.
	RoleProducer    = "producer"    // 制卡管理
	RoleStorekeeper = "storekeeper" // 库管
)

// Operator is a person who works with the platform (操作员).
type Operator struct {
	Login       string // 2 to 64 lower-case letters, digits, '.', '_', '-'; begins with a letter
	Name        string
	Roles       []string // sorted
	Institution string   // id of the institution
	Place       string   // division code
	Locality    string   // township or community of an office below the county, else empty
	Disabled    bool
}

// Reach is the place for which the operator works: what lies in it the operator
// may see and do.
func (o Operator) Reach() string { return cmp.Or(o.Locality, o.Place) }

// Has reports whether the operator has the role.
func (o Operator) Has(role string) bool { return slices.Contains(o.Roles, role) }

// Actor returns the operator as actor at a workstation.
func (o Operator) Actor(workstation string) Actor {
	return Actor{Operator: o.Login, Workstation: workstation, Place: o.Place, Locality: o.Locality}
}

type operatorRow struct {
	Login       string     `gorm:"column:login"`
	Name        string     `gorm:"column:name"`
	Institution string     `gorm:"column:institution"`
	Place       string     `gorm:"column:place"`
	Locality    *string    `gorm:"column:locality"`
	Password    string     `gorm:"column:password"`
	CreatedAt   time.Time  `gorm:"column:created_at"`
	DisabledAt  *time.Time `gorm:"column:disabled_at"`
}

// TableName implements gorm's schema.Tabler.
func (operatorRow) TableName() string { return "operators" }

func (r operatorRow) domain(roles []string) Operator {
	return Operator{
		Login: r.Login, Name: r.Name, Roles: roles, Institution: r.Institution, Place: r.Place, Locality: deref(r.Locality),
		Disabled: r.DisabledAt != nil,
	}
}

type roleRow struct {
	Operator string `gorm:"column:operator"`
	Role     string `gorm:"column:role"`
}

// TableName implements gorm's schema.Tabler.
func (roleRow) TableName() string { return "operator_roles" }

// loginForm is the form of a login.
var loginForm = regexp.MustCompile(`^[a-z][a-z0-9._-]{1,63}$`)

// Length of a password in characters.
const (
	minPassword = 8
	maxPassword = 128
)

func checkPassword(login, password string) error {
	if length := utf8.RuneCountInString(password); length < minPassword || length > maxPassword || password == login {
		return &FieldError{Field: "password", ZH: "应为 8 至 128 个字符，且与登录名不同", EN: "8 to 128 characters, not the login"}
	}
	return nil
}

// AddOperator records an operator with a password. Errors: ErrInvalid,
// ErrDuplicate, ErrConflict for an unknown institution or role.
func (tx *Tx) AddOperator(operator Operator, password string) error {
	if !loginForm.MatchString(operator.Login) {
		return &FieldError{Field: "login", ZH: "应为 2 至 64 个小写字母、数字或 . _ -，以字母开头", EN: "2 to 64 lower-case letters, digits or . _ -, beginning with a letter"}
	}
	if len(operator.Roles) == 0 {
		return &FieldError{Field: "roles", ZH: "至少一个岗位", EN: "at least one role"}
	}
	if err := checkPassword(operator.Login, password); err != nil {
		return err
	}
	if err := tx.placeToday(operator.Place); err != nil {
		return err
	}
	if err := tx.localityToday(operator.Locality, operator.Place); err != nil {
		return err
	}
	hash, err := tx.db.hashPassword(tx.ctx, password)
	if err != nil {
		return err
	}
	row := operatorRow{
		Login: operator.Login, Name: operator.Name, Institution: operator.Institution, Place: operator.Place,
		Locality: optional(operator.Locality), Password: hash, CreatedAt: tx.now,
	}
	if err := tx.gorm.Create(&row).Error; err != nil {
		return err
	}
	roles := make([]roleRow, len(operator.Roles))
	for i, role := range operator.Roles {
		roles[i] = roleRow{Operator: operator.Login, Role: role}
	}
	if err := tx.gorm.Create(&roles).Error; err != nil {
		return err
	}
	return tx.Audit("operator.added", "operator:"+operator.Login, nil)
}

// SetPassword gives an operator another password and ends all sessions.
func (tx *Tx) SetPassword(login, password string) error {
	if err := checkPassword(login, password); err != nil {
		return err
	}
	hash, err := tx.db.hashPassword(tx.ctx, password)
	if err != nil {
		return err
	}
	if err := tx.changeOne(tx.gorm.Model(&operatorRow{}).Where("login = ?", login).Update("password", hash)); err != nil {
		return err
	}
	if err := tx.gorm.Where("operator = ?", login).Delete(&sessionRow{}).Error; err != nil {
		return err
	}
	return tx.Audit("operator.password", "operator:"+login, nil)
}

// DisableOperator takes an operator's access away at once: sessions end.
func (tx *Tx) DisableOperator(login string) error {
	err := tx.changeOne(tx.gorm.Model(&operatorRow{}).Where("login = ? AND disabled_at IS NULL", login).Update("disabled_at", tx.now))
	if err != nil {
		return err
	}
	if err := tx.gorm.Where("operator = ?", login).Delete(&sessionRow{}).Error; err != nil {
		return err
	}
	return tx.Audit("operator.disabled", "operator:"+login, nil)
}

// Operator returns an operator with roles, or ErrNotFound.
func (db *DB) Operator(ctx context.Context, login string) (Operator, error) {
	var row operatorRow
	if err := db.Read(ctx).Where("login = ?", login).Take(&row).Error; err != nil {
		return Operator{}, err
	}
	var roles []string
	err := db.Read(ctx).Model(&roleRow{}).Where("operator = ?", login).Order("role").Pluck("role", &roles).Error
	if err != nil {
		return Operator{}, err
	}
	return row.domain(roles), nil
}
