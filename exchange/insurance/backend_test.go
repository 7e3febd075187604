package insurance_test

import (
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/exchange"
	"onecard/exchange/insurance"
	"onecard/internal/gb"
	"onecard/registry"
	"onecard/registry/registrytest"
)

var (
	office   = registry.Actor{Operator: "office", Place: "630000"}
	hospital = exchange.Site{Institution: "hospital-1", Name: "示例医院", Kind: "hospital", Level: 3, Place: "630102"}
	shop     = exchange.Site{Institution: "pharmacy-1", Name: "示例药店", Kind: "pharmacy", Place: "630102"}
	xining   = exchange.Insurance{Kind: exchange.KindEmployee, Place: "630100"}
)

// fixture is a back end with one employee of Xining who has 2,000 yuan.
type fixture struct {
	*insurance.Backend
	t      *testing.T
	db     *registry.DB
	person uuid.UUID
}

func each(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Helper()
	t.Parallel()
	registrytest.Each(t, func(t *testing.T, db *registry.DB) {
		policies, err := insurance.SamplePolicies()
		require.NoError(t, err)
		backend, err := insurance.New(db, policies, "630000")
		require.NoError(t, err)
		f := &fixture{Backend: backend, t: t, db: db}
		f.person = f.enrol(exchange.KindEmployee)
		test(t, f)
	})
}

func (f *fixture) enrol(kind string) uuid.UUID {
	f.t.Helper()
	person := uuid.New()
	require.NoError(f.t, insurance.LoadSample(f.t.Context(), f.db, office,
		insurance.Insured{PersonID: person, Kind: kind, Place: "630100", From: date(f.t, "2020-01-01")}))
	return person
}

func date(t *testing.T, s string) gb.Date {
	t.Helper()
	d, err := gb.ParseDate(s)
	require.NoError(t, err)
	return d
}

func (f *fixture) bill(business string, fen exchange.Fen) exchange.Message {
	site := hospital
	if business == "pharmacy.purchase" {
		site = shop
	}
	return exchange.Message{ID: uuid.New(), Business: business, PersonID: f.person, Insurance: xining, Site: site, Terminal: "desk",
		SerialNumber: 1, Date: date(f.t, "2026-03-02"), Total: fen, Items: []exchange.Item{{Code: "1", Name: "药", Category: "A", Fen: fen}}}
}

// books returns every balance and what the person has used of the year.
func (f *fixture) books() (balances map[string]int64, deductible, fund int64) {
	f.t.Helper()
	var accounts []struct {
		ID         string
		BalanceFen int64
	}
	require.NoError(f.t, f.db.Read(f.t.Context()).Table("insurance_accounts").Find(&accounts).Error)
	balances = map[string]int64{}
	for _, a := range accounts {
		balances[a.ID] = a.BalanceFen
	}
	var year struct{ DeductibleFen, FundFen int64 }
	require.NoError(f.t, f.db.Read(f.t.Context()).Table("insurance_accumulators").
		Select("COALESCE(SUM(deductible_fen), 0) AS deductible_fen, COALESCE(SUM(fund_fen), 0) AS fund_fen").
		Where("person_id = ?", f.person).Scan(&year).Error)
	return balances, year.DeductibleFen, year.FundFen
}

func (f *fixture) submit(m exchange.Message) exchange.Outcome {
	f.t.Helper()
	o, err := f.Submit(f.t.Context(), m)
	require.NoError(f.t, err)
	return o
}

func TestSettleAndReverse(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		before, _, _ := f.books()
		m := f.bill("outpatient.settle", 95_000)
		o := f.submit(m)
		// (950 − 150) × 55 % = 440; the rest from the account.
		require.Equal(t, []exchange.Fen{44_000, 51_000, 0, 149_000}, []exchange.Fen{o.Fund, o.Account, o.Cash, o.Balance})
		balances, deductible, fund := f.books()
		require.EqualValues(t, 15_000, deductible)
		require.EqualValues(t, 44_000, fund)
		require.EqualValues(t, 95_000, balances["receivable:hospital-1"])
		require.Equal(t, before["pool:630100:employee"]-44_000, balances["pool:630100:employee"])
		require.EqualValues(t, 149_000, balances["personal:"+f.person.String()])

		second := f.submit(f.bill("outpatient.settle", 10_000))
		require.EqualValues(t, 5_500, second.Fund, "the deductible is used up")

		for range 2 {
			require.NoError(t, f.Reverse(t.Context(), m.ID))
		}
		o, err := f.Query(t.Context(), m.ID)
		require.NoError(t, err)
		require.Equal(t, exchange.Reversed, o.Result)
		require.Equal(t, exchange.Reversed, f.submit(m).Result, "the same message does not book again")
		balances, deductible, fund = f.books()
		require.Zero(t, deductible)
		require.EqualValues(t, 5_500, fund)
		require.EqualValues(t, 200_000-4_500, balances["personal:"+f.person.String()])
		require.EqualValues(t, 10_000, balances["receivable:hospital-1"])
		require.NoError(t, f.Verify(t.Context()))
		require.NoError(t, f.db.VerifyAudit(t.Context()))
	})
}

func TestReversalRestoresEveryBalance(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		before, _, _ := f.books()
		m := f.bill("pharmacy.purchase", 300_000) // 1,000 yuan in cash
		o := f.submit(m)
		require.Equal(t, []exchange.Fen{0, 200_000, 100_000, 0}, []exchange.Fen{o.Fund, o.Account, o.Cash, o.Balance})
		booked, _, _ := f.books()
		require.EqualValues(t, 100_000, booked["drawer:pharmacy-1"])
		require.EqualValues(t, -100_000, booked["outside:patients:pharmacy-1"])
		require.NoError(t, f.Reverse(t.Context(), m.ID))
		after, deductible, fund := f.books()
		for id, balance := range after {
			require.Equal(t, before[id], balance, id)
		}
		require.Zero(t, deductible)
		require.Zero(t, fund)
		require.NoError(t, f.Verify(t.Context()))
	})
}

func TestSameMessage(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		m := f.bill("outpatient.settle", 95_000)
		first := f.submit(m)
		require.Equal(t, first, f.submit(m))
		stored, err := f.Query(t.Context(), m.ID)
		require.NoError(t, err)
		require.Equal(t, first, stored)

		m.Terminal = "another"
		other := f.submit(m)
		require.ErrorIs(t, other.Reason, exchange.ErrIDReused)
		_, _, fund := f.books()
		require.EqualValues(t, 44_000, fund, "booked once")

		absent, err := f.Query(t.Context(), uuid.New())
		require.NoError(t, err)
		require.Equal(t, exchange.Absent, absent.Result)
	})
}

func TestReversalFirst(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		m := f.bill("outpatient.settle", 95_000)
		for range 2 {
			require.NoError(t, f.Reverse(t.Context(), m.ID))
		}
		o := f.submit(m)
		require.Equal(t, exchange.Declined, o.Result)
		require.ErrorIs(t, o.Reason, exchange.ErrBlocked)
		_, deductible, fund := f.books()
		require.Zero(t, deductible+fund)
		require.NoError(t, f.Verify(t.Context()))
	})
}

func TestDeclines(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		resident := f.enrol(exchange.KindResident)
		stopped := uuid.New()
		poor := uuid.New()
		require.NoError(t, f.db.InTx(t.Context(), office, func(tx *registry.Tx) error {
			if err := insurance.Enrol(tx, insurance.Insured{PersonID: poor, Kind: exchange.KindEmployee, Place: "630200", From: date(t, "2020-01-01")}); err != nil {
				return err
			}
			return insurance.Enrol(tx, insurance.Insured{PersonID: stopped, Kind: exchange.KindEmployee, Place: "630100",
				From: date(t, "2020-01-01"), Until: date(t, "2026-03-01")})
		}))
		for _, c := range []struct {
			name   string
			change func(m *exchange.Message)
			want   *exchange.Refusal
		}{
			{"nobody", func(m *exchange.Message) { m.PersonID = uuid.New() }, exchange.ErrNotInsured},
			{"stopped", func(m *exchange.Message) { m.PersonID = stopped }, exchange.ErrInsuranceStopped},
			{"before it began", func(m *exchange.Message) { m.Date = date(t, "2019-12-31") }, exchange.ErrInsuranceStopped},
			{"moved", func(m *exchange.Message) { m.Insurance.Place = "630200" }, insurance.ErrMoved},
			{"no policy then", func(m *exchange.Message) { m.Date = date(t, "2023-12-31") }, insurance.ErrNoPolicy},
			{"no level", func(m *exchange.Message) { m.Site.Level = 0 }, insurance.ErrNoLevel},
			{"no account", func(m *exchange.Message) {
				m.PersonID, m.Insurance.Kind, m.Business = resident, exchange.KindResident, "pharmacy.purchase"
			}, insurance.ErrNoAccount},
			{"no such business", func(m *exchange.Message) { m.Business = "pension.pay" }, insurance.ErrNoBusiness},
			{"empty fund", func(m *exchange.Message) { m.PersonID, m.Insurance.Place = poor, "630200" }, insurance.ErrFundShort},
		} {
			m := f.bill("outpatient.settle", 95_000)
			c.change(&m)
			o := f.submit(m)
			require.Equal(t, exchange.Declined, o.Result, c.name)
			require.ErrorIs(t, o.Reason, c.want, c.name)
			require.NotEmpty(t, o.Reason.Text.EN)
			require.Equal(t, o, f.submit(m), "the same answer again")
			require.NoError(t, f.Reverse(t.Context(), m.ID), "nothing is booked")
			again, err := f.Query(t.Context(), m.ID)
			require.NoError(t, err)
			require.Equal(t, o, again)
		}
		require.NoError(t, f.Verify(t.Context()))
	})
}

// TestPurchasesAtOnce never overdraws: forty purchases of 100 yuan at once from
// an account of 2,000.
func TestPurchasesAtOnce(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		var (
			buyers      sync.WaitGroup
			mu          sync.Mutex
			fromAccount exchange.Fen
			cash        exchange.Fen
		)
		for range 8 {
			buyers.Go(func() {
				for range 5 {
					o, err := f.Submit(t.Context(), f.bill("pharmacy.purchase", 10_000))
					if err != nil || o.Result != exchange.Confirmed || o.Balance < 0 {
						t.Errorf("not confirmed: %v %v", o, err)
					}
					mu.Lock()
					fromAccount, cash = fromAccount+o.Account, cash+o.Cash
					mu.Unlock()
				}
			})
		}
		buyers.Wait()
		require.EqualValues(t, 200_000, fromAccount)
		require.EqualValues(t, 200_000, cash)
		balances, _, _ := f.books()
		require.Zero(t, balances["personal:"+f.person.String()])
		require.NoError(t, f.Verify(t.Context()))
	})
}

// TestReversalAndOriginalAtOnce ends without a booking, whoever comes first.
func TestReversalAndOriginalAtOnce(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		for range 12 {
			m := f.bill("outpatient.settle", 20_000)
			var both sync.WaitGroup
			both.Go(func() {
				if _, err := f.Submit(t.Context(), m); err != nil {
					t.Errorf("submit: %v", err)
				}
			})
			both.Go(func() {
				if err := f.Reverse(t.Context(), m.ID); err != nil {
					t.Errorf("reverse: %v", err)
				}
			})
			both.Wait()
			_, deductible, fund := f.books()
			require.Zero(t, deductible+fund)
		}
		require.NoError(t, f.Verify(t.Context()))
	})
}

func TestEnrolAndContribute(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		insured, err := f.Insurance(t.Context(), f.person, date(t, "2026-03-02"))
		require.NoError(t, err)
		require.Equal(t, xining, insured)
		_, err = f.Insurance(t.Context(), uuid.New(), date(t, "2026-03-02"))
		require.ErrorIs(t, err, exchange.ErrNotInsured)
		_, err = f.Insurance(t.Context(), f.person, date(t, "2019-12-31"))
		require.ErrorIs(t, err, exchange.ErrInsuranceStopped)

		before, _, _ := f.books()
		again := insurance.Insured{PersonID: f.person, Kind: exchange.KindEmployee, Place: "630100", From: date(t, "2020-01-01")}
		require.NoError(t, insurance.LoadSample(t.Context(), f.db, office, again))
		after, _, _ := f.books()
		require.Equal(t, before, after, "loading again credits nothing")

		again.Place, again.Until = "630200", date(t, "2026-12-31")
		require.NoError(t, f.db.InTx(t.Context(), office, func(tx *registry.Tx) error { return insurance.Enrol(tx, again) }))
		insured, err = f.Insurance(t.Context(), f.person, date(t, "2026-12-31"))
		require.NoError(t, err)
		require.Equal(t, "630200", insured.Place)
		_, err = f.Insurance(t.Context(), f.person, date(t, "2027-01-01"))
		require.ErrorIs(t, err, exchange.ErrInsuranceStopped)

		for _, bad := range []insurance.Insured{
			{Kind: "employee", Place: "630100", From: again.From},
			{PersonID: f.person, Kind: "maritime", Place: "630100", From: again.From},
			{PersonID: f.person, Kind: "employee", Place: "63", From: again.From},
			{PersonID: f.person, Kind: "employee", Place: "630100"},
			{PersonID: f.person, Kind: "employee", Place: "630100", From: again.Until, Until: again.From},
		} {
			require.ErrorIs(t, insurance.LoadSample(t.Context(), f.db, office, bad), insurance.ErrEnrolment)
		}
		for _, bad := range []insurance.Contribution{
			{PersonID: f.person, Personal: 1}, {ID: uuid.New(), PersonID: f.person}, {ID: uuid.New(), PersonID: f.person, Personal: -1, Pooled: 2},
			{ID: uuid.New(), PersonID: f.person, Personal: exchange.MaxFen + 1},
		} {
			require.ErrorIs(t, f.db.InTx(t.Context(), office, func(tx *registry.Tx) error { return insurance.Contribute(tx, bad) }), insurance.ErrContribution)
		}
		require.NoError(t, f.Verify(t.Context()))
	})
}

// TestVerifyFindsWhatIsAltered changes one figure at a time behind the back of
// the ledger; the tables themselves refuse the worst.
func TestVerifyFindsWhatIsAltered(t *testing.T) {
	each(t, func(t *testing.T, f *fixture) {
		m := f.bill("outpatient.settle", 95_000)
		f.submit(m)
		alter := func(sql string, args ...any) error {
			return f.db.InTx(t.Context(), office, func(tx *registry.Tx) error {
				if err := tx.Audit("test.alter", "ledger", nil); err != nil {
					return err
				}
				return tx.DB().Exec(sql, args...).Error
			})
		}
		account := "personal:" + f.person.String()
		for _, c := range []struct{ change, back string }{
			{"UPDATE insurance_accounts SET balance_fen = balance_fen + 1 WHERE id = ?", "UPDATE insurance_accounts SET balance_fen = balance_fen - 1 WHERE id = ?"},
			{"UPDATE insurance_transfers SET amount_fen = amount_fen + 1 WHERE debit = ?", "UPDATE insurance_transfers SET amount_fen = amount_fen - 1 WHERE debit = ?"},
		} {
			require.NoError(t, f.Verify(t.Context()))
			require.NoError(t, alter(c.change, account))
			require.ErrorIs(t, f.Verify(t.Context()), insurance.ErrLedger)
			require.NoError(t, alter(c.back, account))
		}
		for _, c := range []struct{ change, back string }{
			{"UPDATE insurance_accumulators SET fund_fen = fund_fen + 1", "UPDATE insurance_accumulators SET fund_fen = fund_fen - 1"},
			{"UPDATE insurance_accumulators SET year = 1999", "UPDATE insurance_accumulators SET year = 2026"},
			{"UPDATE insurance_settlements SET state = 'declined'", "UPDATE insurance_settlements SET state = 'confirmed'"},
		} {
			require.NoError(t, f.Verify(t.Context()))
			require.NoError(t, alter(c.change))
			require.ErrorIs(t, f.Verify(t.Context()), insurance.ErrLedger)
			require.NoError(t, alter(c.back))
		}
		require.NoError(t, f.Verify(t.Context()))
		for _, refused := range []string{
			"UPDATE insurance_accounts SET balance_fen = -1 WHERE kind = 'personal'",
			"UPDATE insurance_accounts SET balance_fen = -1 WHERE kind = 'pool'",
			"UPDATE insurance_transfers SET amount_fen = 0",
			"UPDATE insurance_transfers SET credit = debit",
			"UPDATE insurance_settlements SET fund_fen = fund_fen + 1",
			"DELETE FROM insurance_accounts",
		} {
			require.ErrorIs(t, alter(refused), registry.ErrConflict, refused)
		}
	})
}
