package main

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/card/profile"
	"onecard/internal/gb"
	"onecard/internal/sim/maker"
	"onecard/issuance"
	"onecard/issuance/production"
	"onecard/keys"
	"onecard/registry"
)

// asOperator signs an operator of the sample province in at the province's centre.
func asOperator(t *testing.T, s settings, login, password string) signedIn {
	t.Helper()
	file := filepath.Join(t.TempDir(), login)
	require.NoError(t, os.WriteFile(file, []byte(password+"\n"), 0o600))
	return signedIn{settings: s, Operator: login, Workstation: "W-O630000-01", PasswordFile: file}
}

// ran runs a command and returns what it printed.
func ran(t *testing.T, command interface {
	Run(context.Context, streams) error
}) string {
	t.Helper()
	out, printed := terminalWith("")
	require.NoError(t, command.Run(t.Context(), out))
	return printed.String()
}

// TestBatchCommands takes a batch from the key of delivery, which two custodians
// enter, to its closing, by the commands alone.
func TestBatchCommands(t *testing.T) {
	t.Parallel()
	s := trialSettings(t)
	prepared(t, s)
	ktk := keys.Spec{Name: "KTK_LAB", Usage: keys.CardDelivery, Algorithm: keys.AES256}
	delivery := strings.Repeat("33", 32)
	deliver(t, s, keyFlags{Name: "KTK_LAB", Usage: "card-delivery", Algorithm: "AES-256"}, ktk, strings.Repeat("11", 32), strings.Repeat("22", 32), delivery)
	transport := strings.Repeat("44", 16) // of the blanks: the province does without it
	applied(t, s, 6, issuance.MethodBatch)

	producer, other := asOperator(t, s, "chenzhi", "Chenzhi-2026"), asOperator(t, s, "guozhi", "Guozhi-2026")
	plant := filepath.Join(t.TempDir(), "plant")
	m := newPlant(t, s, plant, delivery, transport)
	approve := &supplierCommand{
		signedIn: producer, ID: "lab-300", Institution: "M630000001", Product: "SSC", Approval: "1号", Version: "3.00", Quota: 10,
		From: "2020-01-01", To: "2099-12-31", DeliveryKey: "KTK_LAB", Certificate: filepath.Join(plant, "maker.pem"), Reason: "批复",
	}
	out, _ := terminalWith("")
	require.ErrorIs(t, approve.Run(t.Context(), out), issuance.ErrNoRight, "a producer approves nothing")
	approve.signedIn = other
	ran(t, approve)
	list, err := m.Blanks("3.00", 1, 6)
	require.NoError(t, err)
	listFile := filepath.Join(t.TempDir(), "chips.jws")
	require.NoError(t, os.WriteFile(listFile, []byte(list), 0o600))
	require.Contains(t, ran(t, &batchChipsCommand{signedIn: producer, File: listFile}), "new chips: 6")

	require.Contains(t, ran(t, &batchCreateCommand{signedIn: producer, Number: "B-1", Kind: "normal", Supplier: "lab-300", CardType: "3", Place: "630000", Most: 10}), "banked")
	sent := strings.Fields(ran(t, &batchSendCommand{signedIn: producer, Number: "B-1"}))[0]
	back, err := m.Make(t.Context(), sent)
	require.NoError(t, err)
	require.Contains(t, ran(t, &batchTakeCommand{signedIn: producer, File: back}), "accepted 6")
	require.Contains(t, ran(t, &batchListCommand{settings: s, Most: 10}), "returned")
	shown := ran(t, &batchShowCommand{settings: s, Number: "B-1", Rows: production.ItemMade})
	require.Contains(t, shown, "made       6")
	number := regexp.MustCompile(`\n  1\t(\S{9})`).FindStringSubmatch(shown)[1]
	ran(t, &batchInspectCommand{signedIn: other, Number: "B-1", Card: number, Reject: "印制错误"})
	ran(t, &batchScrapCommand{signedIn: producer, Number: "B-1", Card: number, Method: "shredded", Reason: "印制错误"})
	require.Contains(t, ran(t, &batchScrapCommand{signedIn: other, Number: "B-1", Card: number}), "destroyed")
	require.ErrorIs(t, (&batchInspectCommand{signedIn: other, Number: "B-1", Done: true}).Run(t.Context(), out), production.ErrSample)
	require.ErrorIs(t, (&batchCloseCommand{signedIn: other, Number: "B-1"}).Run(t.Context(), out), issuance.ErrNotAllowed)
	require.Contains(t, ran(t, &batchStoryCommand{settings: s, Number: "B-1"}), "batch.send")
	require.Contains(t, explain(production.ErrSample), "质检数量未达到规定")
}

// TestBatchByMessages: a bank that takes no files is asked by messages, and the
// running platform brings the batch on; an application whose card a counter
// makes has its account ordered there by itself.
func TestBatchByMessages(t *testing.T) {
	t.Parallel()
	s := trialSettings(t)
	prepared(t, s)
	deliver(t, s, keyFlags{Name: "KTK_LAB", Usage: "card-delivery", Algorithm: "AES-256"}, keys.Spec{Name: "KTK_LAB", Usage: keys.CardDelivery, Algorithm: keys.AES256},
		strings.Repeat("11", 32), strings.Repeat("22", 32), strings.Repeat("33", 32))
	b := newTrialBank(t, s)
	text, err := os.ReadFile(b.Config)
	require.NoError(t, err)
	text = regexp.MustCompile(`files: [^,]*,`).ReplaceAll(text, []byte("serves: ['630000'],"))
	require.NoError(t, os.WriteFile(b.Config, text, 0o600))
	plant := filepath.Join(t.TempDir(), "plant")
	newPlant(t, s, plant, strings.Repeat("33", 32), strings.Repeat("44", 16))
	producer, other := asOperator(t, b.settings, "chenzhi", "Chenzhi-2026"), asOperator(t, b.settings, "guozhi", "Guozhi-2026")
	ran(t, &supplierCommand{
		signedIn: other, ID: "lab-300", Institution: "M630000001", Product: "SSC", Approval: "1号", Version: "3.00", Quota: 10,
		From: "2020-01-01", To: "2099-12-31", DeliveryKey: "KTK_LAB", Certificate: filepath.Join(plant, "maker.pem"), Reason: "批复",
	})
	applied(t, s, 3, issuance.MethodBatch)
	create := &batchCreateCommand{signedIn: producer, Number: "B_1", Kind: "normal", Supplier: "lab-300", Bank: "105", CardType: "3", Place: "630000", Most: 3}
	out, _ := terminalWith("")
	require.ErrorIs(t, create.Run(t.Context(), out), registry.ErrInvalid, "a number that the bank cannot be told")
	create.Number, create.Bank = "B-1", "95588"
	require.ErrorIs(t, create.Run(t.Context(), out), registry.ErrInvalid, "a bank that is not configured")
	create.Bank = "95533"
	require.Contains(t, ran(t, create), "实时报文")
	require.Contains(t, ran(t, &batchAccountsCommand{signedIn: producer, Number: "B-1"}), "待答复 awaited 3")
	counter := appliedFrom(t, s, 10, 1, issuance.MethodInstant)
	_, stop := serving(t, b.settings)
	require.Eventually(t, func() bool {
		return strings.Contains(ran(t, &batchShowCommand{settings: b.settings, Number: "B-1"}), "banked") && len(b.Accounts()) == 4
	}, 30*time.Second, 200*time.Millisecond)
	require.NoError(t, stop())
	require.Contains(t, ran(t, &bankOrdersCommand{bankSettings: bankSettings{settings: b.settings, Place: province}, State: "done", Most: 9}), counter[0].String())
	require.Contains(t, ran(t, &batchAccountsCommand{signedIn: producer, Number: "B-1"}), "已开户 opened 3，未开户 none 0，待答复 awaited 0")
}

// applied makes applications for cards that were reviewed.
func applied(t *testing.T, s settings, n int, method string) []uuid.UUID {
	t.Helper()
	return appliedFrom(t, s, 0, n, method)
}

// appliedFrom is applied for n people after the first ones.
func appliedFrom(t *testing.T, s settings, first, n int, method string) (ids []uuid.UUID) {
	t.Helper()
	out, _ := terminalWith("")
	require.NoError(t, s.withRecords(t.Context(), out, func(p *platform) error {
		if err := p.assemble(); err != nil {
			return err
		}
		clerk, reviewer := registry.Actor{Operator: "zhangying", Place: "630102"}, registry.Actor{Operator: "limin", Place: "630102"}
		birth, err := gb.ParseDate("1981-05-01")
		require.NoError(t, err)
		err = p.db.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
			for i := range n {
				number, err := gb.NewIDNumber("630102", birth, 700+first+i)
				if err != nil {
					return err
				}
				person, err := tx.AddPerson(registry.NewPerson{IDNumber: number.String(), Name: "测试", Ethnic: "01", Place: "630102"})
				if err != nil {
					return err
				}
				a, err := p.issuance.Apply(tx, issuance.Request{Person: person.ID, Kind: issuance.KindFirst, Method: method})
				if err != nil {
					return err
				}
				ids = append(ids, a.ID)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return p.db.InTx(t.Context(), reviewer, func(tx *registry.Tx) error {
			for _, id := range ids {
				if _, err := p.issuance.Fire(tx, id, issuance.Asked{Event: issuance.EventApprove, Roles: []string{registry.RoleReviewer}}); err != nil {
					return err
				}
			}
			return nil
		})
	}))
	return ids
}

// newPlant is a maker beside this platform.
func newPlant(t *testing.T, s settings, dir, delivery, transport string) *maker.Maker {
	t.Helper()
	pair, err := maker.NewPair(dir, "lab-300", time.Now())
	require.NoError(t, err)
	profiles, err := profile.Load()
	require.NoError(t, err)
	m := &maker.Maker{Supplier: "lab-300", Dir: dir, Pair: pair, Profiles: profiles, Now: time.Now, Roots: x509.NewCertPool()}
	m.Delivery, err = hex.DecodeString(delivery)
	require.NoError(t, err)
	key, err := hex.DecodeString(transport)
	require.NoError(t, err)
	m.Transport = [16]byte(key)
	out, _ := terminalWith("")
	require.NoError(t, s.withRecords(t.Context(), out, func(p *platform) error {
		m.Roots.AppendCertsFromPEM(p.authority.CA())
		to, err := p.authority.Exchange()
		if err == nil {
			m.Province = to.Leaf
		}
		return err
	}))
	return m
}
