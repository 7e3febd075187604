package production

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"onecard/issuance"
)

// Offer is a supplier with what there is left of it.
type Offer struct {
	Supplier
	Left  int64 // cards of the quota that no batch has taken
	Chips int64 // blanks on the maker's list that no card has taken
}

// Bank is a bank that can be asked for the accounts of a batch.
type Bank struct{ Code, Name string }

// Outlook is what a batch of a place can be made of now (组批条件).
type Outlook struct {
	Waiting int64 // applications, counted up to a limit
	Offers  []Offer
	Banks   []Bank
}

// Outlook tells what a batch of a place can be made of. Of the applications it
// counts most and one.
func (s *Service) Outlook(ctx context.Context, place string, most int) (Outlook, error) {
	var o Outlook
	var err error
	if o.Waiting, err = s.Issuance.CountWaiting(ctx, place, most); err != nil {
		return o, err
	}
	var suppliers []Supplier
	if err := s.DB.Read(ctx).Order("id").Find(&suppliers).Error; err != nil {
		return o, fmt.Errorf("suppliers: %w", err)
	}
	for _, supplier := range suppliers {
		if supplier.usable(issuance.Day(s.DB.Now())) != nil {
			continue
		}
		chips, err := s.freeChips(s.DB.Read(ctx), supplier.ID)
		if err != nil {
			return o, err
		}
		o.Offers = append(o.Offers, Offer{supplier, supplier.Quota - supplier.Ordered, chips})
	}
	if s.Accounts != nil {
		o.Banks = s.Accounts.Banks()
	}
	return o, nil
}

func (s *Service) freeChips(db *gorm.DB, supplier string) (n int64, err error) {
	if err := db.Model(&chipRow{}).Where("supplier = ? AND state = 'free'", supplier).Count(&n).Error; err != nil {
		return 0, fmt.Errorf("chips of a supplier: %w", err)
	}
	return n, nil
}

// Lack is what keeps a batch from its next step (欠缺), or from its end.
type Lack struct {
	Count        int64 // of cards; 0 where it is the batch itself
	Text, Remedy issuance.Text
}

var (
	lackFilling  = Lack{Text: issuance.Text{ZH: "组批尚未完成", EN: "the batch is still being filled"}, Remedy: issuance.Text{ZH: "中断的，再办一次即继续。", EN: "If it was interrupted, do it again: it goes on."}}
	lackAccounts = Lack{Text: issuance.Text{ZH: "待银行答复开户", EN: "the bank has not answered for their accounts"}, Remedy: issuance.Text{ZH: "实时报文自动办理；按文件的，用 onecard batch accounts 出文件，onecard bank in 收回盘。", EN: "Messages go by themselves; for files: onecard batch accounts, onecard bank in."}}
	lackChips    = Lack{Text: issuance.Text{ZH: "卡商清单中缺空白芯片", EN: "too few blank chips on the maker's list"}, Remedy: issuance.Text{ZH: "请卡商报送芯片清单：onecard batch chips。", EN: "Ask the maker for a list: onecard batch chips."}}
	lackSending  = Lack{Text: issuance.Text{ZH: "待生成制卡文件", EN: "the production file is to be made"}, Remedy: issuance.Text{ZH: "onecard batch send 批次号，将文件交卡商。", EN: "onecard batch send NUMBER; give the file to the maker."}}
	lackReturn   = Lack{Text: issuance.Text{ZH: "待卡商回盘", EN: "the maker has not returned a result for them"}, Remedy: issuance.Text{ZH: "收到后：onecard batch take 文件。", EN: "When it is there: onecard batch take FILE."}}
	lackSample   = Lack{Text: issuance.Text{ZH: "还须抽样质检", EN: "more cards are to be inspected"}, Remedy: issuance.Text{ZH: "由组批人以外的人读卡比对：onecard batch inspect。", EN: "By another than who ordered them: onecard batch inspect."}}
	lackPass     = Lack{Text: issuance.Text{ZH: "质检数量已够，待作出结论", EN: "enough cards were inspected: the check is to be ended"}, Remedy: issuance.Text{ZH: "onecard batch inspect 批次号 --done。", EN: "onecard batch inspect NUMBER --done."}}
	lackScrap    = Lack{Text: issuance.Text{ZH: "废卡待销毁", EN: "spoiled cards are to be destroyed"}, Remedy: issuance.Text{ZH: "两人先后签字。", EN: "Two persons sign, one after the other."}}
	lackClosing  = Lack{Text: issuance.Text{ZH: "待主管结批", EN: "a supervisor is to close it"}}
)

// Lacks says what a batch waits for, by its state and the counts of its rows.
func (s *Service) Lacks(ctx context.Context, b Batch, counts map[string]int64) (lacks []Lack, err error) {
	add := func(lack Lack, count int64) {
		lack.Count = count
		lacks = append(lacks, lack)
	}
	spoiled := counts[ItemFailed] + counts[ItemKeyError]
	switch b.State {
	case StateOpen:
		add(lackFilling, 0)
	case StateOrdered:
		add(lackAccounts, counts[ItemOrdered])
	case StateBanked:
		chips, err := s.freeChips(s.DB.Read(ctx), b.Supplier)
		if err != nil {
			return nil, err
		}
		if missing := counts[ItemAccounted] - chips; missing > 0 {
			add(lackChips, missing)
		}
		add(lackSending, 0)
	case StateSent:
		add(lackReturn, counts[ItemMaking])
	case StateReturned:
		policy, err := s.Policies.At(b.Place, issuance.Day(s.DB.Now()))
		if err != nil {
			return nil, err
		}
		good, more := counts[ItemMade]+counts[ItemInspected], int64(0)
		if b.Kind == KindNormal {
			more = policy.sample(good) - counts[ItemInspected]
		}
		if more > 0 {
			add(lackSample, more)
		} else {
			add(lackPass, 0)
		}
	case StateInspected:
		if spoiled == 0 {
			add(lackClosing, 0)
		}
	}
	if spoiled > 0 {
		add(lackScrap, spoiled)
	}
	return lacks, nil
}

// Destructions returns the records of destruction of rows, by their number.
func (s *Service) Destructions(ctx context.Context, batch uuid.UUID, seqs []int64) (map[int64]Destruction, error) {
	var rows []Destruction
	if err := s.DB.Read(ctx).Where("batch_id = ? AND seq IN ?", batch, seqs).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("destructions: %w", err)
	}
	found := make(map[int64]Destruction, len(rows))
	for _, row := range rows {
		found[row.Seq] = row
	}
	return found, nil
}
