package registry

import (
	"cmp"
	"context"
	"time"

	"gorm.io/gorm"
)

// Kinds of institution (机构类别).
const (
	KindOffice   = "office"   // 社保经办机构
	KindHospital = "hospital" // 定点医疗机构
	KindPharmacy = "pharmacy" // 定点零售药店
	KindBank     = "bank"     // 合作银行
	KindMaker    = "maker"    // 制卡厂商
)

// Kinds of workstation (工作站类别), besides KindHospital and KindPharmacy.
const KindCounter = "counter" // 经办窗口

// Institution is an office, a hospital, a pharmacy, a bank or a card maker.
type Institution struct {
	ID    string // 1 to 64 characters; for hospitals and pharmacies the code of the designation (定点机构编号)
	Kind  string // one of the Kind…
	Name  string
	Place string // division code
	// Locality is the township or community of an office below the county, or
	// where the institution lies; may be empty.
	Locality string
	Level    int // hospitals: 1 to 3 (级), else 0
}

// Workstation is a computer at a counter or the cashier's in a hospital or a
// pharmacy, known by its certificate.
type Workstation struct {
	ID              string // 1 to 64 characters
	Institution     string // id of the institution
	Place           string // division code
	Locality        string // township or community of an office below the county, else empty
	Kind            string // KindCounter, KindHospital or KindPharmacy
	CertFingerprint string // SHA-256 of the certificate in hex, lower case; empty before enrolment
	Disabled        bool
}

type institutionRow struct {
	ID        string    `gorm:"column:id"`
	Kind      string    `gorm:"column:kind"`
	Name      string    `gorm:"column:name"`
	Place     string    `gorm:"column:place"`
	Locality  *string   `gorm:"column:locality"`
	Level     int       `gorm:"column:level"`
	CreatedAt time.Time `gorm:"column:created_at"`
}

// TableName implements gorm's schema.Tabler.
func (institutionRow) TableName() string { return "institutions" }

type workstationRow struct {
	ID              string     `gorm:"column:id"`
	Institution     string     `gorm:"column:institution"`
	Place           string     `gorm:"column:place"`
	Locality        *string    `gorm:"column:locality"`
	Kind            string     `gorm:"column:kind"`
	CertFingerprint *string    `gorm:"column:cert_fingerprint"`
	CreatedAt       time.Time  `gorm:"column:created_at"`
	DisabledAt      *time.Time `gorm:"column:disabled_at"`
}

// TableName implements gorm's schema.Tabler.
func (workstationRow) TableName() string { return "workstations" }

func (r workstationRow) domain() Workstation {
	w := Workstation{ID: r.ID, Institution: r.Institution, Place: r.Place, Locality: deref(r.Locality), Kind: r.Kind, Disabled: r.DisabledAt != nil}
	if r.CertFingerprint != nil {
		w.CertFingerprint = *r.CertFingerprint
	}
	return w
}

// AddInstitution records an institution. Errors: ErrInvalid, ErrDuplicate,
// ErrConflict for a kind or a level outside the code lists.
func (tx *Tx) AddInstitution(institution Institution) error {
	if err := cmp.Or(tx.placeToday(institution.Place), tx.localityToday(institution.Locality, institution.Place)); err != nil {
		return err
	}
	row := institutionRow{
		ID: institution.ID, Kind: institution.Kind, Name: institution.Name, Place: institution.Place,
		Locality: optional(institution.Locality), Level: institution.Level, CreatedAt: tx.now,
	}
	if err := tx.gorm.Create(&row).Error; err != nil {
		return err
	}
	return tx.Audit("institution.added", "institution:"+institution.ID, map[string]string{"kind": institution.Kind})
}

// Institution returns an institution, or ErrNotFound.
func (db *DB) Institution(ctx context.Context, id string) (Institution, error) {
	var row institutionRow
	if err := db.Read(ctx).Where("id = ?", id).Take(&row).Error; err != nil {
		return Institution{}, err
	}
	return Institution{ID: row.ID, Kind: row.Kind, Name: row.Name, Place: row.Place, Locality: deref(row.Locality), Level: row.Level}, nil
}

// AddWorkstation records a workstation. Errors: ErrInvalid, ErrDuplicate,
// ErrConflict for an unknown institution or kind.
func (tx *Tx) AddWorkstation(workstation Workstation) error {
	if err := cmp.Or(tx.placeToday(workstation.Place), tx.localityToday(workstation.Locality, workstation.Place)); err != nil {
		return err
	}
	row := workstationRow{
		ID: workstation.ID, Institution: workstation.Institution, Place: workstation.Place, Kind: workstation.Kind, Locality: optional(workstation.Locality),
		CertFingerprint: optional(workstation.CertFingerprint), CreatedAt: tx.now,
	}
	if err := tx.gorm.Create(&row).Error; err != nil {
		return err
	}
	return tx.Audit("workstation.added", "workstation:"+workstation.ID, map[string]string{"kind": workstation.Kind})
}

// EnrolWorkstation gives a workstation its certificate, in place of any
// earlier one. fingerprint is the SHA-256 of the certificate in hex, lower
// case. Errors: ErrNotFound, ErrConflict, ErrDuplicate for a certificate of
// another workstation.
func (tx *Tx) EnrolWorkstation(id, fingerprint string) error {
	err := tx.changeOne(tx.gorm.Model(&workstationRow{}).Where("id = ? AND disabled_at IS NULL", id).Update("cert_fingerprint", fingerprint))
	if err != nil {
		return err
	}
	return tx.Audit("workstation.enrolled", "workstation:"+id, map[string]string{"certificate": fingerprint})
}

// DisableWorkstation takes a workstation out of use and ends its sessions.
func (tx *Tx) DisableWorkstation(id string) error {
	err := tx.changeOne(tx.gorm.Model(&workstationRow{}).Where("id = ? AND disabled_at IS NULL", id).Update("disabled_at", tx.now))
	if err != nil {
		return err
	}
	if err := tx.gorm.Where("workstation = ?", id).Delete(&sessionRow{}).Error; err != nil {
		return err
	}
	return tx.Audit("workstation.disabled", "workstation:"+id, nil)
}

// changeOne turns "no row was changed" into ErrNotFound.
func (tx *Tx) changeOne(result *gorm.DB) error {
	if result.Error != nil {
		return result.Error
	}
	if result.RowsAffected == 0 {
		return &Error{Kind: ErrNotFound, Table: result.Statement.Table}
	}
	return nil
}

// Workstation returns a workstation, or ErrNotFound.
func (db *DB) Workstation(ctx context.Context, id string) (Workstation, error) {
	return db.workstation(db.Read(ctx).Where("id = ?", id))
}

// WorkstationByFingerprint returns the workstation that holds a certificate
// (SHA-256 in hex, lower case) and is in use, or ErrNotFound.
func (db *DB) WorkstationByFingerprint(ctx context.Context, fingerprint string) (Workstation, error) {
	return db.workstation(db.Read(ctx).Where("cert_fingerprint = ? AND disabled_at IS NULL", fingerprint))
}

func (db *DB) workstation(query *gorm.DB) (Workstation, error) {
	var row workstationRow
	if err := query.Take(&row).Error; err != nil {
		return Workstation{}, err
	}
	return row.domain(), nil
}
