package issuance_test

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/api/pki"
	"onecard/internal/gb"
	"onecard/internal/sim/maker"
	"onecard/issuance"
	"onecard/issuance/bank"
	"onecard/issuance/production"
	"onecard/issuance/stock"
	"onecard/issuance/tell"
	"onecard/keys"
	"onecard/registry"
	"onecard/registry/registrytest"

	sim "onecard/internal/sim/bank"
)

// lifeCounties are where the people of a [life] live: each has a batch.
var lifeCounties = []string{"630102", "630103", "630104", "630105"}

const (
	lifeBank  = "95533"
	lifeMaker = "maker-lab"
	lifeBox   = 500 // cards of a box
)

// life is a province with all whom a card meets on its way.
type life struct {
	world
	t     testing.TB
	dir   string
	makes *production.Service
	begun *begun
	banks *bank.Service
	stock *stock.Service
	plant *maker.Maker
	bank  *sim.Bank
	// Of each person the application and the card; of each county the file that
	// is under way.
	applications, cards []uuid.UUID
	signatures          []*registry.Content
	files               [4]string
}

func newLife(b testing.TB, db *registry.DB, clock *registrytest.Clock) *life {
	l := &life{world: world{db: db, clock: clock}, t: b, dir: b.TempDir()}
	keeper, err := newKeeper("life-" + uuid.NewString() + ".json")
	require.NoError(b, err)
	delivery := []byte("a key of delivery, of 32 bytes..")
	require.NoError(b, keeper.Import(keys.Spec{Name: "KTK", Usage: keys.CardDelivery, Algorithm: keys.AES256}, 1, strings.NewReader(hex.EncodeToString(delivery))))
	policies, err := issuance.ParsePolicies([]byte(line))
	require.NoError(b, err)
	l.Service, err = issuance.New(issuance.Config{DB: db, Profiles: province.profiles, Keeper: keeper, Signer: province.signer, Demands: issuance.NoDemands, Policies: policies})
	require.NoError(b, err)
	l.stock, err = stock.New(stock.Config{DB: db, Lost: &lost{l.Service}})
	require.NoError(b, err)
	l.openBank(b)
	l.begun = &begun{Keeper: keeper}
	l.makes, err = production.New(production.Config{DB: db, Issuance: l.Service, Accounts: lifeAccounts{l.banks}, Profiles: province.profiles, Keeper: l.begun,
		Signing: province.signer.Orders, Receiving: province.signer.Exchange, Dir: filepath.Join(l.dir, "production")})
	require.NoError(b, err)
	l.offices(b)
	l.openPlant(b, delivery)
	return l
}

// openBank makes the bank and the platform's side of it.
func (l *life) openBank(b testing.TB) {
	theirs, err := pki.Open(filepath.Join(l.dir, "bank"), nil, l.clock.Now)
	require.NoError(b, err)
	roots := func(a *pki.Authority) *x509.CertPool {
		pool := x509.NewCertPool()
		require.True(b, pool.AppendCertsFromPEM(a.CA()))
		return pool
	}
	ours := province.signer
	province, err := ours.Exchange()
	require.NoError(b, err)
	seal, err := theirs.Exchange()
	require.NoError(b, err)
	l.bank, err = sim.New(sim.Config{Code: lifeBank, BIN: "621467", Now: l.clock.Now, Sign: theirs.Orders, Open: theirs.Exchange, ProvinceRoots: roots(ours.Authority), ProvinceSeal: province.Leaf})
	require.NoError(b, err)
	l.banks, err = bank.New(bank.Config{
		DB: l.db, Province: "630000", Logger: slog.New(slog.DiscardHandler), Wire: func(bank.Peer) bank.Wire { return willing{} },
		Peers: []bank.Peer{{Code: lifeBank, Address: "https://bank.example", Roots: roots(theirs), Seal: seal.Leaf, Client: ours.Client, Sign: ours.Orders, Open: ours.Exchange}},
		Opened: func(tx *registry.Tx, from string, opened []bank.Opened) error {
			return production.Answers{Issuance: l.Service}.Take(tx, from, answersOf(opened))
		},
	})
	require.NoError(b, err)
}

// willing is a bank that activates every account at once.
type willing struct{}

// Carry implements bank.Wire.
func (willing) Carry(context.Context, uuid.UUID, string, []byte) (bank.Answer, error) {
	return bank.Answer{Result: "done", Code: "0000", State: bank.Active, Seq: 2}, nil
}

// lifeAccounts has the bank open the accounts of batches by file.
type lifeAccounts struct{ banks *bank.Service }

// Bank implements production.Accounts.
func (a lifeAccounts) Bank(code, _ string) (string, error) { return code, nil }

// Banks implements production.Accounts.
func (a lifeAccounts) Banks() []production.Bank { return []production.Bank{{Code: lifeBank}} }

// Ask implements production.Accounts.
func (a lifeAccounts) Ask(tx *registry.Tx, b production.Batch, applications []uuid.UUID) ([]production.Answer, error) {
	_, known, err := a.banks.AskAccounts(tx, *b.Bank, b.Number, applications)
	return answersOf(known), err
}

func answersOf(opened []bank.Opened) []production.Answer {
	told := make([]production.Answer, len(opened))
	for i, o := range opened {
		told[i] = production.Answer{Application: o.Application, Account: o.Account}
		if o.Refused != nil {
			told[i].Reason = o.Refused.Error()
		}
	}
	return told
}

// begun is the keeper of production; it notes when a production file, whose
// first line has the check values of keys, is begun.
type begun struct {
	*keys.Keeper
	at time.Time
}

// CheckValue implements production.Keeper.
func (k *begun) CheckValue(ctx context.Context, key keys.Key) (kcv []byte, method string, err error) {
	if k.at.IsZero() {
		k.at = time.Now()
	}
	return k.Keeper.CheckValue(ctx, key)
}

// offices enters the institutions that keep cards.
func (l *life) offices(b testing.TB) {
	l.change(b, func(tx *registry.Tx) error {
		all := []registry.Institution{{ID: lifeMaker, Kind: registry.KindMaker, Name: "实验室卡厂", Place: "630100"}, {ID: "O630000", Kind: registry.KindOffice, Name: "省中心", Place: "630000"}, {ID: "O630100", Kind: registry.KindOffice, Name: "西宁市", Place: "630100"}}
		for _, county := range lifeCounties {
			all = append(all, registry.Institution{ID: "O" + county, Kind: registry.KindOffice, Name: county, Place: county})
		}
		for _, i := range all {
			if err := tx.AddInstitution(i); err != nil {
				return err
			}
			for _, who := range []string{"1", "2", "3"} {
				if i.Kind == registry.KindMaker {
					continue
				}
				if err := tx.AddOperator(keeperOf(i.Place, who), "Password-"+who); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func makes(login string, roles ...string) production.Who {
	return production.Who{Actor: registry.Actor{Operator: login, Workstation: "W-6", Place: "630000"}, Roles: roles}
}

// openPlant makes the maker, whom the ministry has approved, and its blanks.
func (l *life) openPlant(b testing.TB, delivery []byte) {
	pair, err := maker.NewPair(filepath.Join(l.dir, "maker"), "卡商", l.clock.Now())
	require.NoError(b, err)
	to, err := province.signer.Exchange()
	require.NoError(b, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(province.signer.CA())
	// In memory: what the plant does to its files is nobody's measure.
	dir, err := os.MkdirTemp("/dev/shm", "plant")
	if err != nil {
		dir = b.TempDir()
	}
	b.Cleanup(func() { require.NoError(b, os.RemoveAll(dir)) })
	l.plant = &maker.Maker{Supplier: "lab-300", Dir: dir, Pair: pair, Delivery: delivery, Transport: makerKey, Profiles: province.profiles, Roots: roots, Province: to.Leaf, Now: l.clock.Now}
	require.NoError(b, l.makes.Approve(b.Context(), makes("zhaowei", registry.RoleSupervisor), production.Supplier{
		ID: "lab-300", Institution: lifeMaker, Product: "SSC-3.00", Approval: "人社信函〔2026〕1号", SpecVersion: "3.00", Quota: lifePeople,
		ValidFrom: "2026-01-01", ValidTo: "2026-12-31", DeliveryKey: "KTK",
		Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})),
	}, "批复"))
}

// blanks are with the maker.
func (l *life) blanks(b *testing.B) {
	token, err := l.plant.Blanks("3.00", 1, lifePeople)
	require.NoError(b, err)
	_, err = l.makes.AddChips(b.Context(), makes("zhoujun", registry.RoleProducer), token)
	require.NoError(b, err)
}

// newcomer is the i-th resident.
func newcomer(i int, birth, place string) (registry.NewPerson, error) {
	day, err := gb.ParseDate(birth)
	if err != nil {
		return registry.NewPerson{}, err
	}
	number, err := gb.NewIDNumber([]string{"632723", "632221", "630121", "632523", "632801"}[i/900%5], day, i%900+1)
	return registry.NewPerson{IDNumber: number.String(), Name: "扎西·多杰", Ethnic: "04", Place: place, Phone: "13997000001"}, err
}

func batchOf(county int) string { return fmt.Sprintf("B-%d", county+1) }

// order makes a county's batch with the orders to the bank, and the bank's file.
func (l *life) order(county int) error {
	who, ctx := makes("zhoujun", registry.RoleProducer), l.t.Context()
	made, err := l.makes.Create(ctx, who, production.Order{Number: batchOf(county), Kind: production.KindNormal, Supplier: "lab-300", Bank: lifeBank, CardType: "3",
		Place: lifeCounties[county], Most: int64(lifePeople / len(lifeCounties))})
	if err != nil || made.Size < made.Most {
		return fmt.Errorf("batch of %d: %w", made.Size, err)
	}
	file, err := l.banks.MakeFile(ctx, who.Actor, lifeBank, made.Number, filepath.Join(l.dir, "out"))
	l.files[county] = file.Path
	return err
}

func (l *life) bankAnswers(county int) (err error) {
	l.files[county], err = l.bank.OpenFile(l.files[county], l.dir)
	return err
}

func (l *life) takeAccounts(county int) error {
	taken, err := l.banks.TakeFile(l.t.Context(), l.files[county])
	if err == nil && taken.Bad > 0 {
		err = fmt.Errorf("%d rows of the bank's return were not taken", taken.Bad)
	}
	return err
}

// send prepares the production files, one after the other, and returns how long
// it took until they were begun: chips and intentions were bound then.
func (l *life) send(b *testing.B) (took time.Duration) {
	for county := range lifeCounties {
		l.begun.at = time.Time{}
		began := time.Now()
		file, err := l.makes.Send(b.Context(), makes("zhoujun", registry.RoleProducer), batchOf(county))
		require.NoError(b, err)
		took += l.begun.at.Sub(began)
		l.files[county] = filepath.Join(l.makes.Dir, file.Name)
	}
	return took
}

func (l *life) makerAnswers(county int) (err error) {
	l.files[county], err = l.plant.Make(l.t.Context(), l.files[county])
	return err
}

func (l *life) takeCards(county int) error {
	taken, err := l.makes.Take(l.t.Context(), makes("zhoujun", registry.RoleProducer), l.files[county])
	if err == nil && taken.State != production.StateReturned {
		err = fmt.Errorf("the batch is %s", taken.State)
	}
	return err
}

// custody brings a county's cards in sealed boxes from the maker to the county,
// from hand to hand, where they are unpacked.
func (l *life) custody(county int) error {
	made, err := l.makes.Batch(l.t.Context(), batchOf(county))
	if err != nil {
		return err
	}
	items, err := l.makes.Items(l.t.Context(), made.ID, production.ItemMade, 0, lifePeople)
	if err != nil {
		return err
	}
	var boxes []stock.NewBox
	var labels []string
	for part := range slices.Chunk(items, lifeBox) {
		box := stock.NewBox{Label: fmt.Sprintf("63-%d-%d", county+1, len(boxes)+1), Seal: fmt.Sprintf("S-%d-%d", county+1, len(boxes)+1)}
		for i, item := range part {
			box.Cards = append(box.Cards, stock.Slot{Slot: i + 1, Card: item.CardNumber})
		}
		boxes, labels = append(boxes, box), append(labels, box.Label)
	}
	var c stock.Consignment
	err = l.keep("630000", "1", func(tx *registry.Tx, h stock.Hands) (err error) {
		c, err = l.stock.Announce(tx, h, stock.Delivery{Maker: lifeMaker, Kind: stock.Finished, List: fmt.Sprintf("%064x", county+1), Boxes: boxes})
		return err
	})
	way := []string{"630000", "630100", lifeCounties[county]}
	for n := 0; n < len(way) && err == nil; n++ {
		err = l.keep(way[n], "2", func(tx *registry.Tx, h stock.Hands) error {
			_, err := l.stock.Accept(tx, h, c.ID, stock.Acceptance{})
			return err
		})
		if err == nil && n+1 < len(way) {
			err = l.keep(way[n], "1", func(tx *registry.Tx, h stock.Hands) (err error) {
				c, err = l.stock.Send(tx, h, "O"+way[n+1], labels)
				return err
			})
		}
	}
	if err != nil {
		return err
	}
	return l.keep(lifeCounties[county], "1", func(tx *registry.Tx, h stock.Hands) error {
		for _, label := range labels {
			if _, err := l.stock.Open(tx, h, label); err != nil {
				return err
			}
		}
		return nil
	})
}

func keeperOf(place, who string) registry.Operator {
	return registry.Operator{Login: "keeper" + who + "." + place, Name: "库管", Roles: []string{registry.RoleStorekeeper}, Institution: "O" + place, Place: place}
}

// keep runs what a storekeeper of an office does, with a second person.
func (l *life) keep(place, who string, change func(tx *registry.Tx, h stock.Hands) error) error {
	second := keeperOf(place, "3")
	h := stock.Hands{By: keeperOf(place, who), Witness: &second}
	return l.db.InTx(l.t.Context(), h.By.Actor("W-"+place), func(tx *registry.Tx) error { return change(tx, h) })
}

// closeDay closes the book of a county: nothing is left.
func (l *life) closeDay(county int) error {
	return l.keep(lifeCounties[county], "1", func(tx *registry.Tx, h stock.Hands) error {
		days, err := l.stock.Close(tx, h, stock.Count{Day: gb.DayOf(tx.Now()).String()})
		for _, d := range days {
			if d.Difference != 0 {
				err = fmt.Errorf("%d cards are left of %s", d.Closing, d.Kind)
			}
		}
		return err
	})
}

// read reads which cards there are.
func (l *life) read(b *testing.B) {
	require.NoError(b, l.db.Read(b.Context()).Table("cards").Order("id").Pluck("id", &l.cards).Error)
	require.Len(b, l.cards, lifePeople)
}

// sign makes the signatures, each another one.
func (l *life) sign(b *testing.B) {
	for i := range lifePeople {
		l.signatures = append(l.signatures, signature(b, i/380*400+10+i%380))
	}
}

// tell tells the bank of the cards that are active, and takes its answers.
func (l *life) tell(b *testing.B) time.Duration {
	carrier := &tell.Carrier{DB: l.db, Deliverers: map[string]tell.Deliverer{tell.Bank: l.banks}, Place: "630000", Logger: slog.New(slog.DiscardHandler)}
	began := time.Now()
	for {
		n, err := carrier.Turn(b.Context(), tell.Bank)
		require.NoError(b, err)
		if n == 0 {
			return time.Since(began)
		}
	}
}
