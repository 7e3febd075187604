package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/chip"
	"onecard/card/profile"
	"onecard/internal/gb"
	"onecard/internal/pgtest"
	"onecard/internal/sim/bank"
	"onecard/internal/sim/maker"
	"onecard/issuance"
	accounts "onecard/issuance/bank"
	"onecard/issuance/production"
	"onecard/keys"
	"onecard/registry"
)

// The size of the proof and what it works on: docs/proof-batch.md has figures.
var (
	proofCards    = flag.Int("cards", 200, "cards of the batch of TestBatchProof")
	proofDatabase = flag.String("proof-database", "sqlite", "sqlite, postgres (a server of its own) or a DSN of PostgreSQL")
)

// batchProof is the batch with everybody who works on it.
type batchProof struct {
	*testing.T
	s               settings
	size            int
	bank            *trialBank
	plant           *maker.Maker
	producer, other signedIn
	began           time.Time
}

// lap notes how long a step took.
func (p *batchProof) lap(step string) {
	p.Helper()
	p.Logf("%-28s %8.1f s", step, time.Since(p.began).Seconds())
	p.began = time.Now()
}

// shows runs a command and has its output in the log.
func (p *batchProof) shows(command interface {
	Run(context.Context, streams) error
}) string {
	p.Helper()
	printed := ran(p.T, command)
	p.Log("\n" + strings.TrimRight(printed, "\n"))
	return printed
}

// with opens the platform's services, for what has no command.
func (p *batchProof) with(work func(platform *platform, batches *production.Service) error) {
	p.Helper()
	out, _ := terminalWith("")
	require.NoError(p, p.s.withRecords(p.Context(), out, func(platform *platform) error {
		batches, err := platform.production()
		if err != nil {
			return err
		}
		return work(platform, batches)
	}))
}

// TestBatchProof takes a batch of cards with bank accounts through a bank that
// refuses, mixes up, leaves out and falls silent and a maker who spoils, to the
// bank's statement of the day and the closing of the batch: made, scrapped and
// left are what was ordered, and each card's account is the bank's.
func TestBatchProof(t *testing.T) {
	t.Parallel()
	p := newBatchProof(t)
	p.opens()
	p.makes()
	p.reconciles()
	p.closes()
	p.holds()
}

func newBatchProof(t *testing.T) *batchProof {
	p := &batchProof{T: t, size: *proofCards, s: trialSettings(t), began: time.Now()}
	switch *proofDatabase {
	case "sqlite":
	case "postgres":
		p.s.Database = new(pgtest.DSN(t))
	default:
		p.s.Database = proofDatabase
	}
	prepared(t, p.s)
	ktk := keys.Spec{Name: "KTK_LAB", Usage: keys.CardDelivery, Algorithm: keys.AES256}
	delivery := strings.Repeat("33", 32)
	deliver(t, p.s, keyFlags{Name: "KTK_LAB", Usage: "card-delivery", Algorithm: "AES-256"}, ktk, strings.Repeat("11", 32), strings.Repeat("22", 32), delivery)
	p.bank = newTrialBank(t, p.s)
	p.s = p.bank.settings
	p.producer, p.other = asOperator(t, p.s, "chenzhi", "Chenzhi-2026"), asOperator(t, p.s, "guozhi", "Guozhi-2026")
	plant := filepath.Join(t.TempDir(), "plant")
	p.plant = newPlant(t, p.s, plant, delivery, strings.Repeat("44", 16))
	p.plant.Faults = maker.Faults{SpoilOneIn: 200, Seed: 63}
	p.lap("keys, bank, maker")
	p.applies()
	p.lap("applications, reviewed")
	ran(t, &supplierCommand{
		signedIn: p.other, ID: "lab-300", Institution: "M630000001", Product: "SSC", Approval: "1号", Version: "3.00", Quota: int64(p.size),
		From: "2020-01-01", To: "2099-12-31", DeliveryKey: "KTK_LAB", Certificate: filepath.Join(plant, "maker.pem"), Reason: "批复",
	})
	list, err := p.plant.Blanks("3.00", 1, p.size)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "chips.jws")
	require.NoError(t, os.WriteFile(file, []byte(list), 0o600))
	ran(t, &batchChipsCommand{signedIn: p.producer, File: file})
	p.lap("blanks and their list")
	return p
}

// applies enters people and their applications, which another reviews.
func (p *batchProof) applies() {
	const together = 200
	clerk, reviewer := registry.Actor{Operator: "zhangying", Place: "630102"}, registry.Actor{Operator: "limin", Place: "630102"}
	p.with(func(platform *platform, _ *production.Service) error {
		// The sample's residents are not of this batch.
		var before []uuid.UUID
		if err := platform.db.Read(p.Context()).Table("persons").Order("id DESC").Limit(1).Pluck("id", &before).Error; err != nil {
			return err
		}
		last := before[0]
		for from := 0; from < p.size; from += together {
			rows := make([]registry.LoadRow, min(together, p.size-from))
			for i := range rows {
				var err error
				if rows[i].Person, err = newcomer(from + i); err != nil {
					return err
				}
			}
			if _, err := platform.db.Load(p.Context(), clerk, "proof", rows, nil); err != nil {
				return err
			}
			var people []uuid.UUID
			if err := platform.db.Read(p.Context()).Table("persons").Where("id > ?", last).Order("id").Limit(together).Pluck("id", &people).Error; err != nil {
				return err
			}
			require.Len(p, people, len(rows))
			last = people[len(people)-1]
			var ids []uuid.UUID
			err := platform.db.InTx(p.Context(), clerk, func(tx *registry.Tx) error {
				ids = nil
				for _, person := range people {
					a, err := platform.issuance.Apply(tx, issuance.Request{Person: person, Kind: issuance.KindFirst, Method: issuance.MethodBatch})
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
			within, err := platform.db.Scope(p.Context(), "630102")
			if err != nil {
				return err
			}
			err = platform.db.InTx(p.Context(), reviewer, func(tx *registry.Tx) error {
				outcomes, err := platform.issuance.FireAll(tx, ids, issuance.Asked{Event: issuance.EventApprove, Roles: []string{registry.RoleReviewer}}, within, nil)
				for _, outcome := range outcomes {
					err = errors.Join(err, outcome.Refused)
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// newcomer is a made-up resident.
func newcomer(k int) (registry.Person, error) {
	birth, err := gb.ParseDate(fmt.Sprintf("%04d-%02d-%02d", 1950+k/900%50, 1+k%12, 1+k%28))
	if err != nil {
		return registry.Person{}, err
	}
	number, err := gb.NewIDNumber("630102", birth, 1+k%900)
	if err != nil {
		return registry.Person{}, err
	}
	return registry.NewPerson{IDNumber: number.String(), Name: "扎西·多杰", Ethnic: "04", Place: "630102", Phone: "13997000001"}.Check()
}

// opens orders the batch and has the bank open the accounts.
func (p *batchProof) opens() {
	out, _ := terminalWith("")
	create := &batchCreateCommand{signedIn: p.producer, Number: "B-1", Kind: "normal", Supplier: "lab-300", Bank: "105", CardType: "3", Place: "630000", Most: int64(p.size)}
	require.Contains(p, p.shows(create), "ordered")
	p.lap("batch create, bank asked")
	require.ErrorIs(p, (&batchSendCommand{signedIn: p.producer, Number: "B-1"}).Run(p.Context(), out), production.ErrBankWaits)
	files, err := filepath.Glob(filepath.Join(p.bank.files, "out", "*.ocf"))
	require.NoError(p, err)
	require.Len(p, files, 1)

	into := filepath.Join(p.bank.files, "in")
	take := &bankInCommand{bankSettings: bankSettings{settings: p.s, Place: province}}
	some := 1 // of a hundred
	if p.size < 2000 {
		some = 3
	}
	p.bank.SetFaults(bank.Faults{HalfFile: 100, Refuse: some})
	half, err := p.bank.OpenFile(files[0], into)
	require.NoError(p, err)
	var refused *accounts.FileError
	require.ErrorAs(p, take.Run(p.Context(), out), &refused, "half a file is refused as a whole")
	require.NoError(p, os.Remove(half))
	// One row stands twice and one is left out; some have another name.
	p.bank.SetFaults(bank.Faults{Repeat: 100, Misnames: some})
	_, err = p.bank.OpenFile(files[0], into)
	require.NoError(p, err)
	p.lap("the bank opens the accounts")
	p.bank.SetFaults(bank.Faults{Down: 10, Garbage: 10, LateSuccess: 5, Slow: 10, Delay: 100 * time.Millisecond})
	taken := ran(p.T, take)
	p.Log("\n" + strings.Join(strings.Split(taken, "\n")[:min(6, strings.Count(taken, "\n"))], "\n"))
	p.lap("bank in: the return")

	_, stop := serving(p.T, p.s)
	p.with(func(platform *platform, _ *production.Service) error {
		require.Eventually(p, func() bool {
			var open int64
			err := platform.db.Read(p.Context()).Table("bank_orders").Where("state IN ('begun', 'sent', 'unknown')").Count(&open).Error
			return err == nil && open == 0
		}, 5*time.Minute, time.Second)
		return nil
	})
	require.NoError(p, stop())
	p.bank.SetFaults(bank.Faults{})
	p.bank.Wait()
	p.lap("messages: late, reversed")
	shown := p.shows(&batchShowCommand{settings: p.s, Number: "B-1"})
	require.Contains(p, shown, "banked")
	require.Contains(p, shown, "待答复 awaited 0")
}

// makes has the maker make the cards.
func (p *batchProof) makes() {
	sent := strings.Fields(p.shows(&batchSendCommand{signedIn: p.producer, Number: "B-1"}))[0]
	p.lap("batch send")
	back, err := p.plant.Make(p.Context(), sent)
	require.NoError(p, err)
	p.lap("the maker makes the cards")
	require.Contains(p, p.shows(&batchTakeCommand{signedIn: p.producer, File: back}), "returned")
	p.lap("batch take")
}

// reconciles takes the bank's statement of the day (日终对账).
func (p *batchProof) reconciles() {
	_, err := p.bank.Statement(time.Now().In(gb.Beijing).Format(time.DateOnly), filepath.Join(p.bank.files, "in"))
	require.NoError(p, err)
	at := bankSettings{settings: p.s, Place: province}
	p.shows(&bankInCommand{bankSettings: at})
	require.Contains(p, p.shows(&bankReconcileCommand{bankSettings: at}), "仅我方 0，仅银行 0，不一致 0")
	p.lap("the day with the bank")
}

// closes inspects, destroys what is spoiled and closes the batch.
func (p *batchProof) closes() {
	who := func(login string, roles ...string) production.Who {
		return production.Who{Actor: registry.Actor{Operator: login, Workstation: "W-O630000-01", Place: province}, Roles: roles}
	}
	producer, other := who("chenzhi", registry.RoleProducer), who("guozhi", registry.RoleSupervisor)
	p.with(func(platform *platform, batches *production.Service) error {
		b, err := batches.Batch(p.Context(), "B-1")
		require.NoError(p, err)
		made, err := batches.Items(p.Context(), b.ID, production.ItemMade, 0, p.size)
		require.NoError(p, err)
		for i := 0; batches.Pass(p.Context(), other, "B-1") != nil; i++ { // until the sample is large enough
			require.NoError(p, batches.Inspect(p.Context(), other, "B-1", production.Inspection{Number: made[i].CardNumber, Session: p.compares(platform, other, made[i].CardNumber)}))
		}
		p.lap("inspection")
		spoiled, err := batches.Items(p.Context(), b.ID, production.ItemFailed, 0, p.size)
		require.NoError(p, err)
		for _, item := range spoiled {
			for _, who := range []production.Who{producer, other} {
				require.NoError(p, batches.DB.InTx(p.Context(), who.Actor, func(tx *registry.Tx) error {
					done, err := batches.Scrap(tx, who, "B-1", item.CardNumber, "shredded", "废卡")
					require.Equal(p, who.Operator == other.Operator, done)
					return err
				}))
			}
		}
		return batches.DB.InTx(p.Context(), other.Actor, func(tx *registry.Tx) error {
			_, err := batches.Close(tx, other, "B-1")
			return err
		})
	})
	p.lap("destruction, closing")
	p.shows(&batchShowCommand{settings: p.s, Number: "B-1"})
}

// compares compares a card that was made with the records, at a counter.
func (p *batchProof) compares(platform *platform, who production.Who, number string) uuid.UUID {
	image, err := chip.File(filepath.Join(p.plant.Dir, "cards", number+".json")).Load()
	require.NoError(p, err)
	store, err := chip.NewMemory(image)
	require.NoError(p, err)
	made, err := chip.New(p.plant.Profiles, store, nil)
	require.NoError(p, err)
	o := issuance.OpenSession{Operation: "compare", Reader: "reader 1", ATR: made.PowerOn(), Roles: who.Roles}
	channel := apdu.NewChannel(&chip.Socket{Chip: made})
	opened, err := card.Open(p.Context(), channel, p.plant.Profiles, o.ATR, func(p *profile.Profile) (*card.Script, error) {
		return card.Opening(p, card.ChallengeLength), nil
	})
	require.NoError(p, err)
	o.Opening = opened.Responses
	turn, err := platform.issuance.OpenSession(p.Context(), who.Actor, o)
	require.NoError(p, err)
	for turn.Script != nil {
		answers, err := card.Run(p.Context(), channel, turn.Script, nil)
		require.NoError(p, err)
		turn, err = platform.issuance.Step(p.Context(), who.Actor, turn.Session, turn.Seq, answers, "")
		require.NoError(p, err)
	}
	var result issuance.Result
	require.NoError(p, json.Unmarshal(turn.Result, &result))
	require.True(p, result.Genuine)
	return turn.Session
}

// holds holds the sums against each other and the bank's books.
func (p *batchProof) holds() {
	p.with(func(platform *platform, batches *production.Service) error {
		b, err := batches.Batch(p.Context(), "B-1")
		require.NoError(p, err)
		counts, err := batches.Counts(p.Context(), b.ID)
		require.NoError(p, err)
		require.EqualValues(p, p.size, b.Size)
		require.Equal(p, b.Size, *b.Made+*b.Scrapped+*b.Unmade, "made + scrapped + left = ordered")
		require.Equal(p, counts[production.ItemNoAccount], *b.Unmade)
		require.Positive(p, *b.Unmade, "the bank refused some")
		require.Positive(p, *b.Made)
		p.Logf("ordered %d = made %d + scrapped %d + left %d", b.Size, *b.Made, *b.Scrapped, *b.Unmade)

		theirs := map[string]string{} // account to its state at the bank
		open := int64(0)
		for _, a := range p.bank.Accounts() {
			if theirs[a.Number] = a.State; a.State == "preopened" {
				open++
			}
		}
		require.Equal(p, open, *b.Made+*b.Scrapped, "an account of the bank for each row that was made")
		var ids []uuid.UUID
		require.NoError(p, platform.db.Read(p.Context()).Table("batch_items").Where("batch_id = ? AND bank_account IS NOT NULL", b.ID).Distinct().Pluck("bank_account", &ids).Error)
		require.EqualValues(p, open, len(ids), "each row another account")
		numbers, err := platform.db.AccountNumbers(p.Context(), ids)
		require.NoError(p, err)
		for _, number := range numbers {
			require.Equal(p, "preopened", theirs[number])
		}
		return nil
	})
	ran(p.T, &auditVerifyCommand{settings: p.s})
	p.lap("audit log verified")
	// Who left waits again, and whose card was spoiled keeps the account.
	again := &batchCreateCommand{signedIn: p.producer, Number: "B-2", Kind: "normal", Supplier: "lab-300", Bank: "95533", CardType: "3", Place: "630000", Most: 1}
	p.shows(again)
}
