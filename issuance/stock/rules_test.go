package stock_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/issuance/stock"
	"onecard/registry"
)

// TestReceiversRace lets two receivers accept one consignment at once, and two
// storekeepers pack one card: one of them succeeds.
func TestReceiversRace(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		c, err := w.announce(t, stock.NewBox{Label: "29211-1", Cards: slots(serials("R", 5)...)})
		require.NoError(t, err)
		one, two := both(func(who string) error { return w.accept(t, hands(province, who, ""), c.ID, stock.Acceptance{}) })
		require.True(t, (one == nil) != (two == nil), "%v, %v", one, two)
		require.ErrorIs(t, errors.Join(one, two), stock.ErrReceived)
		require.NoError(t, w.open(t, hands(province, "a", "b"), "29211-1"))
		one, two = both(func(who string) error {
			return w.pack(t, hands(province, who, "a"), stock.Blank, "P-"+map[string]string{"b": "1", "c": "2"}[who], "R00001")
		})
		require.True(t, (one == nil) != (two == nil), "%v, %v", one, two)
		require.ErrorIs(t, errors.Join(one, two), stock.ErrBoxed)
		w.whole(t)
	})
}

// both lets b and c do something at once.
func both(work func(who string) error) (one, two error) {
	var group sync.WaitGroup
	group.Go(func() { one = work("b") })
	group.Go(func() { two = work("c") })
	group.Wait()
	return one, two
}

// TestControls writes into the tables past the rules: what the database lets
// pass, the check finds; the rest the database itself refuses.
func TestControls(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		w.stored(t, "C00001", "C00002", "C00003")
		w.whole(t)
		last := func(card string) stock.Movement {
			story, err := w.Story(t.Context(), card)
			require.NoError(t, err)
			m := story.Movements[len(story.Movements)-1]
			seq := m.Seq
			m.PrevSeq, m.Seq, m.FromPlace, m.FromState, m.FromDay = &seq, m.Seq+1, m.ToPlace, m.ToState, m.ToDay
			m.Event, m.ToState = "lose", "missing"
			return m
		}
		write := func(change func(tx *registry.Tx) error) error {
			return w.db.InTx(t.Context(), registry.Actor{Operator: "mallory", Place: "630000"}, func(tx *registry.Tx) error {
				return errors.Join(change(tx), tx.Audit("test.noted", "test", nil))
			})
		}
		for name, spoil := range map[string]func(*stock.Movement){
			"from a place where it is not": func(m *stock.Movement) { m.FromPlace = city },
			"from a state that it has not": func(m *stock.Movement) { m.FromState = "issued" },
			"a gap":                        func(m *stock.Movement) { m.Seq++ },
			"a second time":                func(m *stock.Movement) { m.Seq--; *m.PrevSeq-- },
			"nowhere":                      func(m *stock.Movement) { m.ToPlace, m.ToState = m.FromPlace, m.FromState },
			"out of nothing":               func(m *stock.Movement) { m.PrevSeq = nil; m.Seq = 1; m.FromState = "stored" },
		} {
			m := last("C00001")
			spoil(&m)
			require.Error(t, write(func(tx *registry.Tx) error { return tx.DB().Create(&m).Error }), name)
		}
		for name, statement := range map[string]string{
			"a head that left its ledger":  "UPDATE blank_cards SET state = 'spoiled', version = version + 1 WHERE serial = 'C00001'",
			"a movement changed":           "UPDATE stock_movements SET to_state = 'used' WHERE item = 'C00001'",
			"a movement deleted":           "DELETE FROM stock_movements WHERE item = 'C00001'",
			"accepted by whoever sent it":  "UPDATE stock_consignments SET accepted_by = sent_by",
			"opened alone":                 "UPDATE stock_boxes SET opened_with = opened_by",
			"a box sealed by one":          "INSERT INTO stock_boxes (id, label, kind, place, state, seal, maker, sealed_by, witnessed_by, sealed_at) VALUES ('018f0000-0000-7000-8000-000000000001', 'X', 'blank', 'O63', 'packed', 'X', FALSE, 'a.o63', 'a.o63', '2026-03-02')",
			"a box sealed by nobody":       "INSERT INTO stock_boxes (id, label, kind, place, state, seal, maker, sealed_at) VALUES ('018f0000-0000-7000-8000-000000000001', 'X', 'blank', 'O63', 'packed', 'X', FALSE, '2026-03-02')",
			"a destruction by one":         "INSERT INTO stock_destructions (id, place, first_by, second_by, method, cards, at) VALUES ('018f0000-0000-7000-8000-000000000001', 'O63', 'a.o63', 'a.o63', 'x', 1, '2026-03-02')",
			"a day that does not add up":   "INSERT INTO stock_days (place, kind, bin, day, opening, received, sent, used, spoiled, missing, destroyed, closing, counted, difference, counted_by, witnessed_by, closed_at) VALUES ('O63', 'blank', 'good', '2026-03-02', 0, 3, 0, 0, 0, 0, 0, 2, 2, 0, 'a.o63', 'b.o63', '2026-03-02')",
			"a day that hides difference":  "INSERT INTO stock_days (place, kind, bin, day, opening, received, sent, used, spoiled, missing, destroyed, closing, counted, difference, counted_by, witnessed_by, closed_at) VALUES ('O63', 'blank', 'good', '2026-03-02', 0, 3, 0, 0, 0, 0, 0, 3, 2, 0, 'a.o63', 'b.o63', '2026-03-02')",
			"a day out of the blue":        "INSERT INTO stock_days (place, kind, bin, day, opening, received, sent, used, spoiled, missing, destroyed, closing, counted, difference, counted_by, witnessed_by, closed_at) VALUES ('O63', 'blank', 'good', '2026-03-02', 1, 2, 0, 0, 0, 0, 0, 3, 3, 0, 'a.o63', 'b.o63', '2026-03-02')",
			"a lease to whoever lends":     "INSERT INTO stock_leases (id, place, workstation, holder, lent_by, lent_at, expires_at) VALUES ('018f0000-0000-7000-8000-000000000001', 'O63', 'W-O63', 'a.o63', 'a.o63', '2026-03-02', '2026-03-03')",
			"issued without a lease":       "UPDATE blank_cards SET state = 'issued', version = version + 1 WHERE serial = 'C00001'",
			"destroyed without signatures": "UPDATE blank_cards SET state = 'destroyed', version = version + 1 WHERE serial = 'C00001'",
		} {
			require.Error(t, write(func(tx *registry.Tx) error { return tx.DB().Exec(statement).Error }), name)
		}
		w.whole(t)

		// The rules of the workflow stand in no constraint: the check finds what goes past them.
		m := last("C00002")
		m.Event, m.ToState, m.ToPlace = "teleport", "stored", city
		require.NoError(t, write(func(tx *registry.Tx) error { return tx.DB().Create(&m).Error }))
		found, err := w.Verify(t.Context())
		require.NoError(t, err)
		codes := map[string]bool{}
		for _, f := range found {
			codes[f.Code] = true
			require.NotEmpty(t, f.String())
		}
		require.Equal(t, map[string]bool{"rule": true, "sum": true, "head": true}, codes)

		// A closed day takes nothing more.
		_, err = w.close(t, hands(province, "a", "b"), "2026-03-02", 2, 0)
		require.NoError(t, err)
		m = last("C00003")
		require.ErrorIs(t, write(func(tx *registry.Tx) error { return tx.DB().Create(&m).Error }), registry.ErrConflict)
		require.Error(t, write(func(tx *registry.Tx) error {
			return tx.DB().Exec("UPDATE stock_days SET counted = 0, difference = -closing").Error
		}))
		require.Error(t, write(func(tx *registry.Tx) error { return tx.DB().Exec("DELETE FROM stock_days").Error }))
	})
}

// TestDays closes days, with a difference that a person has to clear.
func TestDays(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		w.stored(t, serials("D", 4)...)
		_, err := w.close(t, hands(province, "a", ""), "2026-03-02", 4, 0)
		require.ErrorIs(t, err, stock.ErrWitness)
		_, err = w.close(t, hands(province, "a", "a"), "2026-03-02", 4, 0)
		require.ErrorIs(t, err, stock.ErrSamePerson)
		_, err = w.close(t, hands(province, "a", "b"), "2026-03-03", 4, 0)
		require.ErrorIs(t, err, stock.ErrDayAhead)
		days, err := w.close(t, hands(province, "a", "b"), "2026-03-02", 3, 0)
		require.NoError(t, err)
		require.EqualValues(t, -1, days[0].Difference)
		_, err = w.close(t, hands(province, "a", "b"), "2026-03-02", 4, 0)
		require.ErrorIs(t, err, stock.ErrDayClosed)

		// What is done after the close counts on the next day.
		require.NoError(t, w.report(t, hands(province, "a", "b"), "lose", stock.Blank, "D00004"))
		w.clock.Advance(24 * hour)
		days, err = w.close(t, hands(province, "b", "c"), "2026-03-03", 3, 0)
		require.NoError(t, err)
		require.Equal(t, []int64{4, 1, 3, 0}, []int64{days[0].Opening, days[0].Missing, days[0].Closing, days[0].Difference})

		view, err := w.View(t.Context(), province)
		require.NoError(t, err)
		require.Len(t, view.Incidents, 2)
		end := func(who, outcome string) error {
			h := hands(province, who, "")
			return w.do(t, h, func(tx *registry.Tx) error {
				_, err := w.CloseIncident(tx, h, view.Incidents[0].ID, outcome)
				return err
			})
		}
		require.ErrorIs(t, end("a", "找到"), stock.ErrSamePerson, "the owner does not close it")
		require.ErrorIs(t, end("b", " "), registry.ErrInvalid)
		require.NoError(t, end("b", "找到一张 found one"))
		require.ErrorIs(t, end("b", "又 again"), stock.ErrClosedIssue)
		w.whole(t)
	})
}

// TestLeases lends blanks to a counter and lets issuance use them.
func TestLeases(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		w.at(t, county, serials("L", 6)...)
		enforced, err := stock.ParsePolicies([]byte(`[{place: "630102", from: 2020-01-01, enforced: true, leaseDays: 3, unclaimedDays: 30}, {place: "630000", from: 2020-01-01, enforced: false, leaseDays: 7, unclaimedDays: 365}]`))
		require.NoError(t, err)
		strict, err := stock.New(stock.Config{DB: w.db, Lost: w.lost, Policies: enforced})
		require.NoError(t, err)
		h := hands(county, "a", "")
		lend := func(n stock.NewLease) (l stock.Lease, cards []string, err error) {
			err = w.do(t, h, func(tx *registry.Tx) error { l, cards, err = strict.Lend(tx, h, n); return err })
			return l, cards, err
		}
		for name, n := range map[string]stock.NewLease{
			"elsewhere":  {Workstation: "W-" + city, Holder: login(county, "b"), Days: 1, Cards: []string{"L00001"}},
			"a stranger": {Workstation: "W-" + county, Holder: login(city, "b"), Days: 1, Cards: []string{"L00001"}},
			"too long":   {Workstation: "W-" + county, Holder: login(county, "b"), Days: 4, Cards: []string{"L00001"}},
			"no cards":   {Workstation: "W-" + county, Holder: login(county, "b"), Days: 1},
			"twice":      {Workstation: "W-" + county, Holder: login(county, "b"), Days: 1, Cards: []string{"L00001", "L00001"}},
		} {
			_, _, err := lend(n)
			require.ErrorIs(t, err, registry.ErrInvalid, name)
		}
		_, _, err = lend(stock.NewLease{Workstation: "W-" + county, Holder: login(county, "a"), Days: 1, Cards: []string{"L00001"}})
		require.ErrorIs(t, err, stock.ErrSamePerson)

		clerk := person(county, "b", registry.RoleIssuer)
		use := func(s *stock.Service, serial string) error {
			return w.db.InTx(t.Context(), clerk.Actor("W-"+county), func(tx *registry.Tx) error {
				return errors.Join(s.Use(tx, serial, uuid.New()), tx.Audit("test.noted", "test", nil))
			})
		}
		require.ErrorIs(t, use(strict, "L00001"), stock.ErrNotLeased)
		require.ErrorIs(t, use(strict, "UNKNOWN1"), stock.ErrNotLeased)
		require.NoError(t, use(w.Service, "UNKNOWN1"), "where the stock is not enforced, a chip that nobody knows is used")
		lease, cards, err := lend(stock.NewLease{Workstation: "W-" + county, Holder: login(county, "b"), Days: 3, From: "L00001", To: "L00004"})
		require.NoError(t, err)
		require.Equal(t, serials("L", 4), cards)
		require.NoError(t, use(strict, "L00001"))
		require.ErrorIs(t, use(w.Service, "L00001"), stock.ErrNotThere, "used is used")
		require.NoError(t, use(w.Service, "L00005"))
		require.NoError(t, w.db.InTx(t.Context(), clerk.Actor("W-"+county), func(tx *registry.Tx) error {
			return errors.Join(w.Spoil(tx, "L00001", "写卡失败"), w.Spoil(tx, "UNKNOWN1", "x"), tx.Audit("test.noted", "test", nil))
		}))
		w.clock.Advance(3 * 24 * hour)
		require.ErrorIs(t, use(strict, "L00002"), stock.ErrNotLeased, "the lease has ended")
		view, err := w.View(t.Context(), county)
		require.NoError(t, err)
		require.True(t, view.Leases[0].Expired(w.clock.Now()))
		back := func() (left []string, err error) {
			err = w.do(t, h, func(tx *registry.Tx) error { _, left, err = w.Return(tx, h, lease.ID); return err })
			return left, err
		}
		left, err := back()
		require.NoError(t, err)
		require.Equal(t, serials("L", 4)[1:], left)
		_, err = back()
		require.ErrorIs(t, err, stock.ErrLeaseEnded)
		days, err := w.close(t, hands(county, "a", "b"), "2026-03-05", 4, 1)
		require.NoError(t, err)
		require.Equal(t, []int64{6, 2, 4, 0}, []int64{days[0].Received, days[0].Used, days[0].Closing, days[0].Difference})
		require.Zero(t, days[1].Difference)
		w.whole(t)
	})
}

// TestFinished takes finished cards from the maker to the township, with losses:
// their custody follows, and a missing one is taken out of use.
func TestFinished(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		cards := []string{w.finished(t, "maker"), w.finished(t, "maker"), w.finished(t, "maker"), w.finished(t, "maker")}
		local := w.finished(t, "county")
		h := hands(province, "a", "")
		var c stock.Consignment
		announce := func(cards ...string) error {
			return w.do(t, h, func(tx *registry.Tx) error {
				sent, err := w.Announce(tx, h, stock.Delivery{Maker: maker, Kind: stock.Finished, Boxes: []stock.NewBox{{Label: "29211-9-9", Seal: "M1", Cards: slots(cards...)}}})
				if err == nil {
					c = sent
				}
				return err
			})
		}
		require.ErrorIs(t, announce(local), stock.ErrNotFinished)
		require.NoError(t, announce(cards...))
		require.ErrorIs(t, announce(cards...), stock.ErrKnown)
		from := province
		for _, to := range []string{province, city, county} {
			if to != province {
				var err error
				c, err = w.send(t, hands(from, "a", ""), to, "29211-9-9")
				require.NoError(t, err)
			}
			if to == county {
				break
			}
			require.NoError(t, w.accept(t, hands(to, "b", ""), c.ID, stock.Acceptance{}))
			custody, _ := w.custody(t, cards[0])
			require.Equal(t, map[string]string{province: "province", city: "prefecture"}[to], custody)
			from = to
		}
		lossy := stock.Acceptance{Missing: cards[:1], Damaged: cards[1:2], BrokenSeals: []string{"29211-9-9"}, Note: "箱破损 torn"}
		require.ErrorIs(t, w.accept(t, hands(county, "b", ""), c.ID, lossy), stock.ErrWitness)
		require.NoError(t, w.accept(t, hands(county, "b", "c"), c.ID, lossy))
		for n, want := range []string{"prefecture 9", "county 9", "county 0"} {
			custody, status := w.custody(t, cards[n])
			require.Equal(t, want, custody+" "+status)
		}
		require.EqualValues(t, 2, w.lost.calls.Load())

		// One is handed over, which the book takes note of; one waits too long.
		w.change(t, func(tx *registry.Tx) error {
			return tx.DB().Table("cards").Where("number = ?", cards[2]).Updates(tx.Change(map[string]any{"custody": "holder", "status": "1"}, "test")).Error
		})
		two := hands(county, "a", "b")
		var days []stock.Day
		require.NoError(t, w.do(t, two, func(tx *registry.Tx) (err error) {
			days, err = w.Close(tx, two, stock.Count{Day: "2026-03-02", Cards: map[string]map[string]int64{stock.Finished: {stock.Good: 1, stock.Waste: 1}}})
			return err
		}))
		require.Equal(t, []int64{2, 1, 1, 0, 0}, []int64{days[2].Received, days[2].Used, days[2].Closing, days[2].Difference, days[3].Difference})
		w.clock.Advance(366 * 24 * hour)
		late, err := w.Unclaimed(t.Context(), county)
		require.NoError(t, err)
		require.Len(t, late, 1)
		require.Equal(t, cards[3], late[0].Number)
		require.NoError(t, w.pack(t, two, stock.Finished, "63-99", late[0].Number, local), "one made here is taken over")
		c, err = w.send(t, hands(county, "a", ""), city, "63-99")
		require.NoError(t, err)
		require.NoError(t, w.accept(t, hands(city, "a", ""), c.ID, stock.Acceptance{}))
		custody, _ := w.custody(t, local)
		require.Equal(t, "prefecture", custody)
		w.whole(t)
	})
}

// TestRights lets the wrong people try.
func TestRights(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		w.stored(t, "K00001", "K00002")
		clerk := stock.Hands{By: *person(province, "a", registry.RoleClerk), Witness: person(province, "b")}
		require.ErrorIs(t, w.pack(t, clerk, stock.Blank, "63-1", "K00001"), stock.ErrNoRight)
		stranger := stock.Hands{By: *person(province, "a"), Witness: person(city, "b")}
		require.ErrorIs(t, w.pack(t, stranger, stock.Blank, "63-1", "K00001"), stock.ErrWitness)
		cashier := stock.Hands{By: *person(province, "a"), Witness: person(province, "b", registry.RoleCashier)}
		require.ErrorIs(t, w.pack(t, cashier, stock.Blank, "63-1", "K00001"), stock.ErrWitness)
		require.NoError(t, w.report(t, hands(province, "a", "b"), "spoil", stock.Blank, "K00001"))
		keepers := stock.Hands{By: *person(province, "a", registry.RoleStorekeeper), Witness: person(province, "b", registry.RoleStorekeeper)}
		require.ErrorIs(t, w.destroy(t, keepers, stock.Blank, "K00001"), stock.ErrNoRight, "a supervisor has to be there")
		require.NoError(t, w.Sees(t.Context(), *person(city, "a"), county))
		require.ErrorIs(t, w.Sees(t.Context(), *person(city, "a"), far), stock.ErrOtherPlace)
		require.ErrorIs(t, w.Sees(t.Context(), *person(county, "a"), city), stock.ErrOtherPlace)

		signed, err := w.Sign(t.Context(), login(city, "b"), "Password-b-1", "W-"+city)
		require.NoError(t, err)
		require.Equal(t, city, signed.Institution)
		_, err = w.Sign(t.Context(), login(city, "b"), "wrong", "W-"+city)
		require.ErrorIs(t, err, registry.ErrSignIn)
		_, err = w.Sign(t.Context(), login(city, "b"), "Password-b-1", "W-"+county)
		require.ErrorIs(t, err, registry.ErrElsewhere)
	})
}

const list = "序列号,产品,箱位,封签\nA0000001,SSC300,29211-5-3-1,F1\nA0000002,SSC300,29211-5-3-2,F1\nA0000003,SSC300,29211-5-4-1,F2\n"

func readList(t testing.TB, text string) (stock.Delivery, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "list.csv")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return stock.ReadList(path)
}

func TestReadList(t *testing.T) {
	t.Parallel()
	d, err := readList(t, list)
	require.NoError(t, err)
	require.Equal(t, []stock.NewBox{
		{Label: "29211-5-3", Seal: "F1", Cards: []stock.Slot{{1, "A0000001"}, {2, "A0000002"}}},
		{Label: "29211-5-4", Seal: "F2", Cards: []stock.Slot{{1, "A0000003"}}},
	}, d.Boxes)
	require.Len(t, d.List, 64)
	for name, edit := range map[string][2]string{
		"a serial twice": {"A0000002", "A0000001"}, "a slot twice": {"3-2", "3-1"}, "no slot": {"29211-5-3-2", "29211"}, "slot 0": {"3-2", "3-0"},
		"two products": {"A0000002,SSC300", "A0000002,SSC200"}, "two seals": {"3-2,F1", "3-2,F9"}, "no column": {"箱位", "位置"},
		"a bad serial": {"A0000002", "A 2"}, "a bad label": {"29211-5-4-1", "29211-5-4-9-1"}, "too few cells": {",F2", ""},
	} {
		_, err := readList(t, strings.Replace(list, edit[0], edit[1], 1))
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "A0000001", name)
	}
}

func FuzzReadList(f *testing.F) {
	f.Add(list)
	f.Add("serial\tproduct\tbox\nA001\tX\t1-1\n")
	f.Add("serial,product,box\n\"A\n")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := readList(t, text)
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, b := range d.Boxes {
			for _, c := range b.Cards {
				if seen[c.Card] || c.Slot < 1 || b.Label == "" || len(c.Card) < 4 {
					t.Fatalf("taken: %+v", b)
				}
				seen[c.Card] = true
			}
		}
		if len(seen) == 0 {
			t.Fatal("an empty list was taken")
		}
	})
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "[]", `[{place: "63", from: 2020-01-01, leaseDays: 1, unclaimedDays: 1}]`, `[{place: "630000", from: 2020-01-01, leaseDays: 0, unclaimedDays: 1}]`,
		`[{place: "630000", from: 2020-01-01, leaseDays: 1, unclaimedDays: 0}]`, `[{place: "630000", leaseDays: 1, unclaimedDays: 1}]`, `[{plaice: x}]`,
		`[{place: "630000", from: 2020-01-01, leaseDays: 1, unclaimedDays: 1}, {place: "630000", from: 2020-01-01, leaseDays: 2, unclaimedDays: 1}]`,
	} {
		_, err := stock.ParsePolicies([]byte(text))
		require.ErrorIs(t, err, stock.ErrPolicy, text)
	}
}
