package insurance

import (
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"onecard/exchange"
)

// policy is one with round figures: deductible 100 yuan, cap 500 yuan, 60 %,
// category B bears 10 % first.
func policy() Policy {
	return Policy{Deductible: 10_000, Cap: 50_000, Ratio: map[int]Share{3: 6000}, SelfFirst: 1000,
		Account: &AccountRules{Outpatient: []Cause{CauseDeductible, CauseCoPayment}, Pharmacy: []exchange.Category{exchange.CategoryA}, WhenShort: shortCash}}
}

func a(fen exchange.Fen) exchange.Item { return exchange.Item{Name: "甲药", Category: "A", Fen: fen} }
func b(fen exchange.Fen) exchange.Item { return exchange.Item{Name: "乙药", Category: "B", Fen: fen} }
func own(fen exchange.Fen) exchange.Item {
	return exchange.Item{Name: "自费药", Category: "own", Fen: fen}
}

// TestOutpatient holds figures worked out by hand.
func TestOutpatient(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                string
		items               []exchange.Item
		before              standing
		fund, account, cash exchange.Fen
		deductible          exchange.Fen
		lines               []string
	}{
		{"everything at once", []exchange.Item{a(20_000), b(8_000), own(2_000)}, standing{balance: 12_000}, 10_320, 12_000, 7_680, 10_000, []string{
			"统筹基金支付：（范围内费用 272.00 − 起付标准 100.00）× 60% = 103.20 | 103.20",
			"现金支付：乙类项目“乙药”先自付 10%：80.00 × 10% = 8.00 | 8.00",
			"现金支付：自费项目“自费药”，医保不予支付 | 20.00",
			"个人账户支付：起付标准以内：本年起付标准 100.00，此前已累计 0.00，本次 100.00 | 100.00",
			"个人账户支付：按比例自付：172.00 − 报销 103.20（60%）= 68.80 | 20.00",
			"现金支付：按比例自付：172.00 − 报销 103.20（60%）= 68.80 | 48.80",
		}},
		{"below the deductible", []exchange.Item{a(9_999)}, standing{}, 0, 0, 9_999, 9_999, []string{
			"现金支付：起付标准以内：本年起付标准 100.00，此前已累计 0.00，本次 99.99 | 99.99"}},
		{"the rest of the deductible", []exchange.Item{a(1_000)}, standing{deductible: 9_500}, 300, 0, 700, 500, []string{
			"统筹基金支付：（范围内费用 10.00 − 起付标准 5.00）× 60% = 3.00 | 3.00",
			"现金支付：起付标准以内：本年起付标准 100.00，此前已累计 95.00，本次 5.00 | 5.00",
			"现金支付：按比例自付：5.00 − 报销 3.00（60%）= 2.00 | 2.00"}},
		{"fraction of a fen", []exchange.Item{a(101)}, standing{deductible: 10_000, balance: 1_000}, 60, 41, 0, 0, []string{
			"统筹基金支付：（范围内费用 1.01 − 起付标准 0.00）× 60% = 0.60（不足一分的部分舍去） | 0.60",
			"个人账户支付：按比例自付：1.01 − 报销 0.60（60%）= 0.41 | 0.41"}},
		{"fraction of category B", []exchange.Item{b(101)}, standing{deductible: 10_000}, 54, 0, 47, 0, []string{
			"统筹基金支付：（范围内费用 0.90 − 起付标准 0.00）× 60% = 0.54 | 0.54",
			"现金支付：乙类项目“乙药”先自付 10%：1.01 × 10% = 0.11（不足一分按一分计） | 0.11",
			"现金支付：按比例自付：0.90 − 报销 0.54（60%）= 0.36 | 0.36"}},
		{"over the cap", []exchange.Item{a(10_000)}, standing{deductible: 10_000, fund: 49_000}, 1_000, 0, 9_000, 0, []string{
			"统筹基金支付：（范围内费用 100.00 − 起付标准 0.00）× 60% = 60.00，受年度封顶线限制支付 10.00 | 10.00",
			"现金支付：按比例自付：100.00 − 报销 60.00（60%）= 40.00 | 40.00",
			"现金支付：超过年度封顶线：封顶线 500.00，此前已支付 490.00，应报销 60.00，可支付 10.00，其余 50.00 | 50.00"}},
		{"cap used up", []exchange.Item{a(100)}, standing{deductible: 10_000, fund: 50_001}, 0, 0, 100, 0, []string{
			"现金支付：按比例自付：1.00 − 报销 0.60（60%）= 0.40 | 0.40",
			"现金支付：超过年度封顶线：封顶线 500.00，此前已支付 500.01，应报销 0.60，可支付 0.00，其余 0.60 | 0.60"}},
		{"nothing covered", []exchange.Item{own(5)}, standing{balance: 100}, 0, 0, 5, 0, []string{
			"现金支付：自费项目“自费药”，医保不予支付 | 0.05"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, refusal := outpatient(policy(), 3, c.items, c.before)
			require.Nil(t, refusal)
			require.Equal(t, []exchange.Fen{c.fund, c.account, c.cash, c.deductible}, []exchange.Fen{s.fund, s.account, s.cash, s.deductible})
			require.Equal(t, c.lines, written(s))
			require.NoError(t, s.outcome(c.before).Check(total(c.items)))
		})
	}
	_, refusal := outpatient(policy(), 1, []exchange.Item{a(1)}, standing{})
	require.ErrorIs(t, refusal, ErrNoLevel)
}

func written(s settlement) []string {
	var lines []string
	for _, line := range s.lines {
		lines = append(lines, line.Text.ZH+" | "+line.Fen.String())
	}
	return lines
}

func total(items []exchange.Item) exchange.Fen {
	var sum exchange.Fen
	for _, item := range items {
		sum += item.Fen
	}
	return sum
}

func TestPurchase(t *testing.T) {
	t.Parallel()
	refuse := policy()
	refuse.Account.WhenShort = shortRefuse
	none := policy()
	none.Account = nil
	for _, c := range []struct {
		name          string
		policy        Policy
		items         []exchange.Item
		balance       exchange.Fen
		account, cash exchange.Fen
		refusal       *exchange.Refusal
		lines         []string
	}{
		{"from the account", policy(), []exchange.Item{a(1_000), own(200)}, 5_000, 1_000, 200, nil, []string{
			"个人账户支付：“甲药”10.00 | 10.00", "现金支付：“自费药”2.00，不在个人账户支付范围 | 2.00"}},
		{"too little", policy(), []exchange.Item{a(1_000), a(500)}, 1_200, 1_200, 300, nil, []string{
			"个人账户支付：“甲药”10.00 | 10.00",
			"个人账户支付：“甲药”5.00，个人账户余额不足，账户 2.00，现金 3.00 | 2.00",
			"现金支付：“甲药”5.00，个人账户余额不足，账户 2.00，现金 3.00 | 3.00"}},
		{"nothing left", policy(), []exchange.Item{a(1_000)}, 0, 0, 1_000, nil, []string{
			"现金支付：“甲药”10.00，个人账户余额不足，账户 0.00，现金 10.00 | 10.00"}},
		{"too little, refused", refuse, []exchange.Item{a(1_000)}, 999, 0, 0, ErrAccountShort, nil},
		{"just enough", refuse, []exchange.Item{a(1_000), own(1)}, 1_000, 1_000, 1, nil, []string{
			"个人账户支付：“甲药”10.00 | 10.00", "现金支付：“自费药”0.01，不在个人账户支付范围 | 0.01"}},
		{"no account", none, []exchange.Item{a(1_000)}, 0, 0, 0, ErrNoAccount, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, refusal := purchase(c.policy, c.items, standing{balance: c.balance})
			if c.refusal != nil {
				require.ErrorIs(t, refusal, c.refusal)
				return
			}
			require.Nil(t, refusal)
			require.Equal(t, []exchange.Fen{0, c.account, c.cash}, []exchange.Fen{s.fund, s.account, s.cash})
			require.Equal(t, c.lines, written(s))
			require.NoError(t, s.outcome(standing{balance: c.balance}).Check(total(c.items)))
		})
	}
}

var (
	anyItem = rapid.Custom(func(t *rapid.T) exchange.Item {
		return exchange.Item{Name: "项目", Category: rapid.SampledFrom([]exchange.Category{"A", "B", "own"}).Draw(t, "category"),
			Fen: exchange.Fen(rapid.Int64Range(1, int64(exchange.MaxFen)/20).Draw(t, "fen"))}
	})
	anyPolicy = rapid.Custom(func(t *rapid.T) Policy {
		share := rapid.Int64Range(0, int64(whole))
		fen := rapid.Int64Range(0, 1_000_000)
		p := Policy{Deductible: exchange.Fen(fen.Draw(t, "deductible")), Cap: exchange.Fen(fen.Draw(t, "cap")),
			Ratio: map[int]Share{3: Share(share.Draw(t, "ratio"))}, SelfFirst: Share(share.Draw(t, "self first"))}
		if rapid.Bool().Draw(t, "account") {
			p.Account = &AccountRules{
				Outpatient: rapid.SliceOf(rapid.SampledFrom([]Cause{CauseOwn, CauseSelfFirst, CauseDeductible, CauseCoPayment, CauseOverCap})).Draw(t, "causes"),
				Pharmacy:   rapid.SliceOf(rapid.SampledFrom([]exchange.Category{"A", "B", "own"})).Draw(t, "categories"),
				WhenShort:  rapid.SampledFrom([]string{shortCash, shortRefuse}).Draw(t, "short"),
			}
		}
		return p
	})
	anyStanding = rapid.Custom(func(t *rapid.T) standing {
		fen := rapid.Int64Range(0, 1_000_000)
		return standing{balance: exchange.Fen(fen.Draw(t, "balance")), deductible: exchange.Fen(fen.Draw(t, "used")), fund: exchange.Fen(fen.Draw(t, "paid"))}
	})
)

// TestOutpatientAddsUp holds for any policy, bill and standing: the parts and
// lines are the bill, the account pays no more than it has, and the fund pays
// what exact fractions say, rounded down, within the cap.
func TestOutpatientAddsUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, before := anyPolicy.Draw(t, "policy"), anyStanding.Draw(t, "standing")
		items := rapid.SliceOfN(anyItem, 1, 12).Draw(t, "items")
		s, refusal := outpatient(p, 3, items, before)
		require.Nil(t, refusal)
		require.NoError(t, s.outcome(before).Check(total(items)))
		require.LessOrEqual(t, s.account, before.balance)
		if p.Account == nil {
			require.Zero(t, s.account)
		}
		require.LessOrEqual(t, before.deductible+s.deductible, max(p.Deductible, before.deductible))
		require.Equal(t, exactFund(p, items, before), int64(s.fund))
	})
}

// exactFund computes the fund's payment with fractions.
func exactFund(p Policy, items []exchange.Item, before standing) int64 {
	floor := func(r *big.Rat) *big.Rat { return new(big.Rat).SetInt(new(big.Int).Div(r.Num(), r.Denom())) }
	base := new(big.Rat)
	for _, item := range items {
		fen := new(big.Rat).SetInt64(int64(item.Fen))
		switch item.Category {
		case "A":
			base.Add(base, fen)
		case "B":
			base.Add(base, floor(fen.Mul(fen, big.NewRat(10000-int64(p.SelfFirst), 10000))))
		}
	}
	if left := int64(p.Deductible - before.deductible); left > 0 {
		base.Sub(base, new(big.Rat).SetInt64(left))
	}
	if base.Sign() < 0 {
		return 0
	}
	due := floor(base.Mul(base, big.NewRat(int64(p.Ratio[3]), 10000))).Num().Int64()
	return min(due, max(int64(p.Cap-before.fund), 0))
}

func TestPurchaseAddsUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, before := anyPolicy.Draw(t, "policy"), anyStanding.Draw(t, "standing")
		items := rapid.SliceOfN(anyItem, 1, 12).Draw(t, "items")
		s, refusal := purchase(p, items, before)
		if refusal != nil {
			require.True(t, p.Account == nil || p.Account.WhenShort == shortRefuse)
			return
		}
		require.NoError(t, s.outcome(before).Check(total(items)))
		require.LessOrEqual(t, s.account, before.balance)
		require.Zero(t, s.fund)
	})
}

func TestParsePolicies(t *testing.T) {
	t.Parallel()
	const good = `
policies:
  - {place: "630100", kind: employee, from: 2024, text: {zh: 样例, en: sample}, deductible: 1, cap: 2, ratio: {3: 5000}, selfFirst: 1000, account: {outpatient: [own], pharmacy: [A], whenShort: cash}}
`
	for _, c := range []struct{ name, old, new string }{
		{"as it is", "", ""},
		{"no place", `"630100"`, `"西宁"`},
		{"unknown kind", "kind: employee", "kind: maritime"},
		{"no year", "from: 2024", "from: 24"},
		{"no words", "zh: 样例", `zh: ""`},
		{"negative", "deductible: 1,", "deductible: -1,"},
		{"no cap", "cap: 2", "cap: -2"},
		{"no ratio", `ratio: {3: 5000}`, "ratio: {}"},
		{"no such level", "{3: 5000}", "{4: 5000}"},
		{"more than the whole", "5000}", "10001}"},
		{"more than the whole first", "selfFirst: 1000", "selfFirst: 10001"},
		{"unknown cause", "[own]", "[luck]"},
		{"unknown category", "[A]", "[Z]"},
		{"short how", "whenShort: cash", "whenShort: credit"},
		{"unknown field", "cap: 2", "cap: 2, limit: 3"},
		{"no yaml", "policies:", "policies: ["},
		{"twice", "\n  - ", "\n  - {place: \"6301\", kind: employee, from: 2024, text: {zh: 样例, en: sample}, ratio: {3: 1}}\n  - "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, good, c.old)
			_, err := ParsePolicies([]byte(strings.Replace(good, c.old, c.new, 1)))
			if c.old == "" {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, ErrPolicies)
			}
		})
	}
}

func TestFindPolicy(t *testing.T) {
	t.Parallel()
	p := Policies{List: []Policy{
		{Place: "630000", Kind: "employee", From: 2024, Cap: 1}, {Place: "630100", Kind: "employee", From: 2024, Cap: 2},
		{Place: "630100", Kind: "employee", From: 2026, Cap: 3}, {Place: "630000", Kind: "resident", From: 2025, Cap: 4},
	}}
	for _, c := range []struct {
		place, kind string
		year        int
		cap         exchange.Fen
	}{
		{"630200", "employee", 2026, 1}, {"630100", "employee", 2025, 2}, {"630100", "employee", 2026, 3}, {"630100", "employee", 2030, 3},
		{"630100", "resident", 2026, 4}, {"630100", "resident", 2024, 0}, {"510100", "employee", 2026, 0},
	} {
		found, known := p.find(exchange.Insurance{Kind: c.kind, Place: c.place}, c.year)
		require.Equal(t, c.cap != 0, known)
		require.Equal(t, c.cap, found.Cap)
	}
	sample, err := SamplePolicies()
	require.NoError(t, err)
	require.True(t, sample.Sample)
	require.NotEmpty(t, sample.List)
}

func TestShare(t *testing.T) {
	t.Parallel()
	for share, want := range map[Share]string{0: "0%", 5: "0.05%", 1000: "10%", 1250: "12.5%", 10000: "100%"} {
		require.Equal(t, want, share.String())
	}
}

func FuzzParsePolicies(f *testing.F) {
	f.Add(samplePolicies)
	f.Add([]byte("policies: [{place: '63'}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParsePolicies(text)
		if err != nil {
			require.ErrorIs(t, err, ErrPolicies)
			return
		}
		for _, policy := range p.List {
			for level := range policy.Ratio {
				s, refusal := outpatient(policy, level, []exchange.Item{a(100_00), b(33), own(1)}, standing{balance: 50})
				require.Nil(t, refusal)
				require.NoError(t, s.outcome(standing{balance: 50}).Check(100_34))
			}
		}
	})
}
