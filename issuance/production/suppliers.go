package production

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"onecard/card"
	"onecard/card/profile"
	"onecard/internal/gb"
	"onecard/internal/signed"
	"onecard/registry"
)

// Approve enters what the ministry has approved, or changes number and period of
// what is entered (变更备案). A quota below what is ordered already is refused.
func (s *Service) Approve(ctx context.Context, who Who, told Supplier, reason string) error {
	if err := who.may(supervisors); err != nil {
		return err
	}
	if err := s.checkSupplier(ctx, told); err != nil {
		return err
	}
	return s.DB.InTx(ctx, who.Actor, func(tx *registry.Tx) error {
		told.State, told.Ordered, told.Stamp = "approved", 0, tx.Stamp(reason)
		made := tx.DB().Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "id"}}, DoNothing: true}).Create(&told)
		if made.Error != nil {
			return made.Error
		}
		detail := map[string]string{"product": told.Product, "approval": told.Approval, "quota": fmt.Sprint(told.Quota)}
		if made.RowsAffected == 1 {
			return tx.Audit("supplier.approved", "supplier:"+told.ID, detail)
		}
		changed := tx.DB().Model(&Supplier{}).Where("id = ? AND institution = ? AND product = ?", told.ID, told.Institution, told.Product).Updates(tx.Change(map[string]any{
			"approval": told.Approval, "quota": told.Quota, "valid_from": told.ValidFrom, "valid_to": told.ValidTo, "state": told.State,
			"delivery_key": told.DeliveryKey, "certificate": told.Certificate, "spec_version": told.SpecVersion,
		}, reason))
		if changed.Error != nil {
			return changed.Error
		}
		if changed.RowsAffected != 1 {
			return registry.ErrConflict
		}
		return tx.Audit("supplier.changed", "supplier:"+told.ID, detail)
	})
}

// Suspend stops a supplier: no batch is ordered there any more.
func (s *Service) Suspend(ctx context.Context, who Who, id, reason string) error {
	if err := who.may(supervisors); err != nil {
		return err
	}
	return s.DB.InTx(ctx, who.Actor, func(tx *registry.Tx) error {
		changed := tx.DB().Model(&Supplier{}).Where("id = ?", id).Updates(tx.Change(map[string]any{"state": "suspended"}, reason))
		if changed.Error != nil {
			return changed.Error
		}
		if changed.RowsAffected != 1 {
			return registry.ErrNotFound
		}
		return tx.Audit("supplier.suspended", "supplier:"+id, nil)
	})
}

func field(name, zh, en string) error { return &registry.FieldError{Field: name, ZH: zh, EN: en} }

// checkSupplier refuses an entry that no batch could be made with.
func (s *Service) checkSupplier(ctx context.Context, told Supplier) error {
	from, fromErr := gb.ParseDate(told.ValidFrom)
	to, toErr := gb.ParseDate(told.ValidTo)
	_, versionErr := profile.ByVersion(s.Profiles, told.SpecVersion)
	_, certificateErr := told.leaf()
	switch {
	case told.ID == "" || len(told.ID) > 64:
		return field("id", "1 至 64 个字符", "1 to 64 characters")
	case told.Product == "" || told.Approval == "":
		return field("product, approval", "须有产品和批准文号", "product and approval are needed")
	case fromErr != nil || toErr != nil || to.Before(from):
		return field("validFrom, validTo", "应为起止日期 YYYY-MM-DD", "the days of the approval, YYYY-MM-DD")
	case told.Quota < 0:
		return field("quota", "不小于 0", "0 or more")
	case versionErr != nil:
		return field("specVersion", "没有此规范版本", "no such specification version")
	case certificateErr != nil:
		return field("certificate", "应为卡商证书（PEM，P-256，用途含代码签名）", "the maker's certificate: PEM, P-256, with code signing among its uses")
	}
	if _, _, err := s.Keeper.CheckValue(ctx, card.Key{Name: told.DeliveryKey}); err != nil {
		return errors.Join(field("deliveryKey", "密钥保管方没有此制卡传输密钥", "the keeper has no such key of delivery"), err)
	}
	maker, err := s.DB.Institution(ctx, told.Institution)
	if err != nil || maker.Kind != "maker" {
		return field("institution", "应为已登记的卡商", "a registered maker")
	}
	return nil
}

// leaf returns the maker's certificate.
func (s Supplier) leaf() (*x509.Certificate, error) {
	block, rest := pem.Decode([]byte(s.Certificate))
	if block == nil || block.Type != "CERTIFICATE" || strings.TrimSpace(string(rest)) != "" {
		return nil, errors.New("one certificate in PEM")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	if _, ok := certificate.PublicKey.(*ecdsa.PublicKey); !ok || !slices.Contains(certificate.ExtKeyUsage, x509.ExtKeyUsageCodeSigning) {
		return nil, errors.New("a key of an elliptic curve, for code signing")
	}
	return certificate, nil
}

// open returns what the maker signed, and nobody else.
func (s Supplier) open(token string, when func(payload []byte) (time.Time, error)) ([]byte, error) {
	certificate, err := s.leaf()
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	payload, err := signed.Open(token, roots, when)
	if err != nil {
		return nil, errors.Join(ErrSigner, err)
	}
	return payload, nil
}

// usable refuses a supplier of whom nothing may be ordered on a day (停用、过期).
func (s Supplier) usable(day gb.Date) error {
	if s.State != "approved" || day.String() < s.ValidFrom || day.String() > s.ValidTo {
		return ErrSupplier
	}
	return nil
}

// reserve takes n cards off a supplier's quota, or gives them back. The database
// refuses more than the quota as well.
func reserve(tx *registry.Tx, supplier string, n int64) error {
	result := tx.DB().Model(&Supplier{}).Where("id = ? AND ordered + ? BETWEEN 0 AND quota", supplier, n).Update("ordered", gorm.Expr("ordered + ?", n))
	if result.Error != nil {
		return result.Error
	}
	if result.RowsAffected != 1 {
		return ErrQuota
	}
	return nil
}

// chipList is a maker's list of chips (芯片清单), signed.
type chipList struct {
	Format   string    `json:"format"`
	Supplier string    `json:"supplier"`
	At       time.Time `json:"at"`
	Chips    []struct {
		ATR    string `json:"atr"`    // upper-case hexadecimal
		Prefix string `json:"prefix"` // the card identification without its check code, 24 digits
	} `json:"chips"`
}

const (
	formatChips = "onecard-chips/1"
	maxChips    = 200_000
)

// AddChips takes a maker's signed list of the blank chips that lie there
// (芯片清单), and returns how many are new. A list may come again. A chip that
// another list gave another identification is refused with the whole list.
func (s *Service) AddChips(ctx context.Context, who Who, token string) (added int64, err error) {
	if err := who.may(producers); err != nil {
		return 0, err
	}
	var told chipList
	supplier, err := s.signedChips(ctx, token, &told)
	if err != nil {
		return 0, err
	}
	rows, err := s.chipRows(supplier, told, token)
	if err != nil {
		return 0, err
	}
	err = s.DB.InTx(ctx, who.Actor, func(tx *registry.Tx) error {
		added = 0
		for part := range slices.Chunk(rows, chunkRows) {
			for i := range part {
				part[i].ChangedAt = tx.Now()
			}
			made := tx.DB().Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "atr"}}, DoNothing: true}).Create(&part)
			if made.Error != nil {
				return made.Error
			}
			added += made.RowsAffected
		}
		return tx.Audit("production.chips", "supplier:"+supplier.ID, map[string]string{"added": fmt.Sprint(added), "list": rows[0].List})
	})
	return added, err
}

// signedChips reads a list and checks who signed it.
func (s *Service) signedChips(ctx context.Context, token string, told *chipList) (Supplier, error) {
	var supplier Supplier
	peek, err := unverified(token)
	if err != nil || json.Unmarshal(peek, told) != nil {
		return supplier, ErrSigner
	}
	if err := s.DB.Read(ctx).Where("id = ?", told.Supplier).Take(&supplier).Error; err != nil {
		return supplier, errors.Join(ErrSigner, err)
	}
	payload, err := supplier.open(token, func([]byte) (time.Time, error) { return s.DB.Now(), nil })
	if err != nil {
		return supplier, err
	}
	*told = chipList{}
	if strictJSON(payload, told) != nil || told.Format != formatChips || len(told.Chips) == 0 || len(told.Chips) > maxChips {
		return supplier, ErrReturn
	}
	return supplier, nil
}

// chipRows checks each chip of a list.
func (s *Service) chipRows(supplier Supplier, told chipList, token string) ([]chipRow, error) {
	p, err := profile.ByVersion(s.Profiles, supplier.SpecVersion)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(token))
	rows := make([]chipRow, len(told.Chips))
	for i, chip := range told.Chips {
		atr, err := hex.DecodeString(chip.ATR)
		prefix, prefixErr := hex.DecodeString(chip.Prefix)
		if err == nil && prefixErr == nil {
			_, err = card.NewOrder(p, card.Chip{ATR: atr, ID: prefix})
		}
		if err != nil || prefixErr != nil || strings.ToUpper(chip.ATR) != chip.ATR || strings.ToUpper(chip.Prefix) != chip.Prefix {
			return nil, field(fmt.Sprintf("chips[%d]", i), "应为该规范版本空白卡的复位信息和卡识别码前 24 位（大写十六进制）", "answer to reset of a blank of the version, and 24 digits of its identification, in upper-case hexadecimal")
		}
		rows[i] = chipRow{ATR: chip.ATR, Supplier: supplier.ID, Prefix: chip.Prefix, List: hex.EncodeToString(sum[:]), State: "free"}
	}
	return rows, nil
}
