package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/internal/gb"
)

// Numbers that requests of the scenarios hold. They may stand neither in a
// refusal nor in the log.
var (
	newcomer   = idNumber("630102", "19750606", 25) // nobody's: that code was not used in 1975
	wrongCheck = newcomer[:17] + map[bool]string{true: "0", false: "1"}[newcomer[17] != '0']
)

func idNumber(area, birth string, sequence int) string {
	day, err := gb.ParseDate(birth)
	if err != nil {
		panic(err)
	}
	number, err := gb.NewIDNumber(area, day, sequence)
	if err != nil {
		panic(err)
	}
	return number.String()
}

func newPerson(change ...string) string {
	fields := map[string]string{"idNumber": newcomer, "name": "张测试", "ethnic": "01", "place": "630102"}
	for i := 0; i < len(change); i += 2 {
		fields[change[i]] = change[i+1]
	}
	var parts []string
	for _, name := range []string{"idNumber", "name", "nameTibetan", "ethnic", "place", "phone", "extra"} {
		if value, ok := fields[name]; ok && value != "-" {
			parts = append(parts, fmt.Sprintf("%q:%q", name, value))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// scenario is a request with what its answer must and must not hold. No answer
// that refuses may hold a number that was sent; that is checked for all.
type scenario struct {
	name   string
	call   call
	status int
	has    []string
	lacks  []string
}

var scenarios = []scenario{
	{"alive", call{method: "GET", path: "/healthz", at: "-"}, 200, []string{`"ok"`}, nil},
	{"ready", call{method: "GET", path: "/readyz", at: "-"}, 200, []string{`"ok"`}, nil},
	{"the contract", call{method: "GET", path: "/openapi.yaml", at: "-"}, 200, []string{"openapi: 3.0.3"}, nil},
	{"who am I", call{method: "GET", path: "/v1/me", as: clerk}, 200, []string{"zhangying", "张英", "W-O630102-01", "clerk"}, []string{"argon2", "Zhangying-2026"}},

	{"no such address", call{method: "GET", path: "/v1/nothing", as: clerk}, 404, []string{"no-route"}, nil},
	{"no such method", call{method: "PUT", path: "/v1/persons", as: clerk}, 405, []string{"method"}, nil},
	{"unknown query parameter", call{method: "GET", path: "/v1/persons?nmae=x", as: clerk}, 400, []string{"nmae", "没有这个字段"}, nil},
	{"a number as parameter's name", call{method: "GET", path: "/v1/persons?" + newcomer + "=1", as: clerk}, 400, []string{`"?"`}, nil},
	{"parameter given twice", call{method: "GET", path: "/v1/persons?name=a&name=b", as: clerk}, 400, []string{"只能给出一次"}, nil},
	{"query that is none", call{method: "GET", path: "/v1/persons?name=%zz", as: clerk}, 400, []string{"unreadable"}, nil},
	{"two search parameters", call{method: "GET", path: "/v1/persons?name=a&idNumber=" + newcomer, as: clerk}, 400, []string{"cardNumber"}, nil},
	{"no search parameter", call{method: "GET", path: "/v1/persons", as: clerk}, 400, []string{"cardNumber"}, nil},
	{"search by a wrong number", call{method: "GET", path: "/v1/persons?idNumber=" + wrongCheck, as: clerk}, 422, []string{"idNumber"}, nil},
	{"search by a wrong card number", call{method: "GET", path: "/v1/persons?cardNumber=123456789", as: clerk}, 422, []string{"cardNumber"}, []string{"123456789"}},
	{"search for nobody", call{method: "GET", path: "/v1/persons?idNumber=" + newcomer, as: clerk}, 200, []string{`"persons":[]`}, nil},
	{"search by name", call{method: "GET", path: "/v1/persons?name=%E6%89%8E%E8%A5%BF%C2%B7%E5%A4%9A%E6%9D%B0", as: clerk}, 200, []string{"扎西·多杰", "632***********", "藏"}, []string{"19750702", "12000000006"}},
	{"malformed id", call{method: "GET", path: "/v1/persons/12345", as: clerk}, 400, []string{`"id"`, "UUID"}, nil},
	{"unknown id", call{method: "GET", path: "/v1/persons/" + uuid.NewString(), as: clerk}, 404, []string{"not-found"}, nil},
	{"a page too long", call{method: "GET", path: "/v1/applications?limit=9007199", as: clerk}, 400, []string{"limit", "1 至 200"}, []string{"9007199"}},
	{"a limit that is no number", call{method: "GET", path: "/v1/applications?limit=ten", as: clerk}, 400, []string{"limit"}, []string{"ten\""}},
	{"a body where none is", call{method: "POST", path: "/v1/sign-out", as: clerk, body: `{"x":1}`}, 400, []string{"no-body"}, nil},

	{"malformed JSON", call{method: "POST", path: "/v1/persons", as: clerk, key: "bad-00001", body: `{"idNumber":"` + newcomer + `"`}, 400, []string{"unreadable"}, nil},
	{"something after the JSON", call{method: "POST", path: "/v1/persons", as: clerk, key: "bad-00002", body: newPerson() + "{}"}, 400, []string{"unreadable"}, nil},
	{"not UTF-8", call{method: "POST", path: "/v1/persons", as: clerk, key: "bad-00003", body: newPerson("name", "x")[:20] + "\xff"}, 400, []string{"unreadable"}, nil},
	{"a form", call{method: "POST", path: "/v1/persons", as: clerk, key: "bad-00004", media: "application/x-www-form-urlencoded", body: "idNumber=" + newcomer}, 415, []string{"media-type"}, nil},
	{"no body", call{method: "POST", path: "/v1/persons", as: clerk, key: "bad-00005"}, 415, []string{"media-type"}, nil},
	{"a list for an object", call{method: "POST", path: "/v1/persons", as: clerk, key: "bad-00006", body: "[" + newPerson() + "]"}, 400, []string{"应为对象"}, nil},
	{"too large", call{method: "POST", path: "/v1/persons", as: clerk, key: "bad-00007", body: newPerson("name", strings.Repeat("x", maxBody))}, 413, []string{"too-large", "1 MiB"}, nil},
	{"unknown field", call{method: "POST", path: "/v1/persons", as: clerk, key: "bad-00008", body: newPerson("extra", "x")}, 400, []string{"extra", "没有这个字段"}, nil},
	{"everything missing", call{method: "POST", path: "/v1/persons", as: clerk, key: "bad-00009", body: "{}"}, 400, []string{"idNumber", "name", "ethnic", "place", "必填"}, nil},
	{"a number for a text", call{method: "POST", path: "/v1/persons", as: clerk, key: "bad-00010", body: `{"idNumber":` + newcomer[:15] + `,"name":"x","ethnic":"01","place":"630102"}`}, 400, []string{"idNumber", "应为文字"}, []string{newcomer[:15]}},
	{"null for a text", call{method: "POST", path: "/v1/persons", as: clerk, key: "bad-00011", body: `{"idNumber":null,"name":"x","ethnic":"01","place":"630102"}`}, 400, []string{"idNumber", "null"}, nil},
	{"too short", call{method: "POST", path: "/v1/persons", as: clerk, key: "bad-00012", body: newPerson("idNumber", newcomer[:17])}, 422, []string{"idNumber", "应为 18 位"}, []string{newcomer[:17]}},
	{"wrong pattern", call{method: "POST", path: "/v1/persons", as: clerk, key: "bad-00013", body: newPerson("ethnic", "汉")}, 400, []string{"ethnic", "应为2 位数字"}, []string{"汉"}},
	{"wrong telephone", call{method: "POST", path: "/v1/persons", as: clerk, key: "bad-00014", body: newPerson("phone", "--------")}, 400, []string{"phone", "电话号码"}, nil},
	{"wrong check digit", call{method: "POST", path: "/v1/persons", as: clerk, key: "bad-00015", body: newPerson("idNumber", wrongCheck)}, 422, []string{"idNumber", "校验"}, nil},
	{"no such group", call{method: "POST", path: "/v1/persons", as: clerk, key: "bad-00016", body: newPerson("ethnic", "99")}, 422, []string{"ethnic"}, nil},
	{"no such place", call{method: "POST", path: "/v1/persons", as: clerk, key: "bad-00017", body: newPerson("place", "639999")}, 422, []string{"place"}, nil},
	{"no idempotency key", call{method: "POST", path: "/v1/persons", as: clerk, body: newPerson()}, 400, []string{"Idempotency-Key", "必填"}, nil},
	{"an idempotency key too short", call{method: "POST", path: "/v1/persons", as: clerk, key: "short", body: newPerson()}, 400, []string{"Idempotency-Key", "8 至 64"}, nil},
	{"an idempotency key of other characters", call{method: "POST", path: "/v1/persons", as: clerk, key: "key key key", body: newPerson()}, 400, []string{"Idempotency-Key", "字母、数字"}, nil},

	{"an unknown kind of application", call{method: "POST", path: "/v1/applications", as: clerk, key: "bad-00018", body: `{"personId":"` + uuid.NewString() + `","kind":"second"}`}, 400, []string{"kind", "first"}, []string{"second"}},
	{"an application of nobody", call{method: "POST", path: "/v1/applications", as: clerk, key: "bad-00019", body: `{"personId":"` + uuid.NewString() + `","kind":"first"}`}, 404, []string{"not-found"}, nil},
	{"an event of no application", call{method: "POST", path: "/v1/applications/" + uuid.NewString() + "/events", as: clerk, key: "bad-00020", body: `{"event":"approve"}`}, 404, []string{"not-found"}, nil},
	{"an event of no card", call{method: "POST", path: "/v1/cards/" + uuid.NewString() + "/events", as: clerk, key: "bad-00021", body: `{"event":"reportLoss"}`}, 404, []string{"not-found"}, nil},
	{"nothing on the list", call{method: "GET", path: "/v1/invalid-cards", as: cashier}, 200, []string{`"entries":[]`, `"latest":0`}, nil},
	{"a list before the beginning", call{method: "GET", path: "/v1/invalid-cards?since=-1", as: cashier}, 400, []string{"since", "至少 0"}, nil},

	{"an unknown chip", call{method: "POST", path: "/v1/chip-sessions", as: clerk, key: "bad-00022", body: `{"operation":"read","reader":"r","atr":"3B00","opening":["9000"]}`}, 409, []string{"unknown-atr"}, nil},
	{"an ATR that is none", call{method: "POST", path: "/v1/chip-sessions", as: clerk, key: "bad-00023", body: `{"operation":"read","reader":"r","atr":"3b00","opening":[]}`}, 400, []string{"atr", "大写十六进制"}, nil},
	{"an answer that is none", call{method: "POST", path: "/v1/chip-sessions", as: clerk, key: "bad-00024", body: `{"operation":"read","reader":"r","atr":"3B00","opening":["9000","90"]}`}, 400, []string{"opening[1]"}, nil},
	{"an unknown operation", call{method: "POST", path: "/v1/chip-sessions", as: clerk, key: "bad-00025", body: `{"operation":"erase","reader":"r","atr":"3B00","opening":[]}`}, 400, []string{"operation", "personalise"}, []string{"erase"}},
	{"a step of no session", call{method: "POST", path: "/v1/chip-sessions/" + uuid.NewString() + "/steps/0", as: clerk, body: `{"responses":["9000"]}`}, 404, []string{"not-found"}, nil},
	{"a PIN that is none", call{method: "POST", path: "/v1/chip-sessions/" + uuid.NewString() + "/steps/0", as: clerk, body: `{"responses":["9000"],"pin":"27o41"}`}, 400, []string{"pin", "6 位数字"}, []string{"27o41"}},
	{"a step before the first", call{method: "POST", path: "/v1/chip-sessions/" + uuid.NewString() + "/steps/-1", as: clerk, body: `{"responses":[]}`}, 400, []string{"seq"}, nil},

	{"a transaction without proof", call{method: "POST", path: "/v1/transactions", as: druggist, body: transaction(uuid.New(), uuid.New(), 1, 100)}, 409, []string{"proof-unknown"}, nil},
	{"a bill that does not add up", call{method: "POST", path: "/v1/transactions", as: druggist, body: strings.Replace(transaction(uuid.New(), uuid.New(), 1, 100), `"totalFen":100`, `"totalFen":101`, 1)}, 422, []string{"totalFen", "明细之和"}, nil},
	{"an amount of nothing", call{method: "POST", path: "/v1/transactions", as: druggist, body: transaction(uuid.New(), uuid.New(), 1, 0)}, 400, []string{"items[0].fen", "totalFen"}, nil},
	{"half a fen", call{method: "POST", path: "/v1/transactions", as: druggist, body: strings.Replace(transaction(uuid.New(), uuid.New(), 1, 100), `"totalFen":100`, `"totalFen":100.5`, 1)}, 400, []string{"totalFen"}, []string{"100.5"}},
	{"an amount written with a point", call{method: "POST", path: "/v1/transactions", as: druggist, body: strings.Replace(transaction(uuid.New(), uuid.New(), 1, 100), `"totalFen":100`, `"totalFen":100.0`, 1)}, 400, []string{"totalFen"}, []string{"100.0"}},
	{"an amount beyond all bounds", call{method: "POST", path: "/v1/transactions", as: druggist, body: strings.Replace(transaction(uuid.New(), uuid.New(), 1, 100), `"totalFen":100`, `"totalFen":1e300`, 1)}, 400, []string{"totalFen"}, []string{"1e300"}},
	{"a day that is none", call{method: "POST", path: "/v1/transactions", as: druggist, body: strings.Replace(transaction(uuid.New(), uuid.New(), 1, 100), "2026-03-02", "2026-02-30", 1)}, 422, []string{"date"}, []string{"2026-02-30"}},
	{"a transaction that is none", call{method: "GET", path: "/v1/transactions/" + uuid.NewString(), as: cashier}, 404, []string{"not-found"}, nil},
	{"a reversal without a reason", call{method: "POST", path: "/v1/transactions/" + uuid.NewString() + "/reversal", as: cashier, key: "bad-00026", body: `{"reason":""}`}, 400, []string{"reason"}, nil},
}

func transaction(id, proof uuid.UUID, serial int, fen int) string {
	return fmt.Sprintf(`{"id":%q,"business":"pharmacy.purchase","proof":%q,"serial":%d,"date":"2026-03-02","totalFen":%d,"items":[{"code":"YP0001","name":"红景天口服液","category":"B","fen":%d}]}`,
		id, proof, serial, fen, fen)
}

func TestScenarios(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		for _, s := range scenarios {
			t.Run(s.name, func(t *testing.T) {
				w := w.in(t)
				got := w.do(s.call)
				require.Equal(t, s.status, got.status, got.body)
				for _, text := range s.has {
					require.Contains(t, got.body, text)
				}
				for _, text := range append(s.lacks, newcomer, wrongCheck, "YP0001", "红景天") {
					require.NotContains(t, got.body, text)
				}
				if got.status >= http.StatusBadRequest {
					problem := decode[Problem](t, got)
					require.Equal(t, problemType, got.header.Get("Content-Type"))
					require.Equal(t, got.header.Get(headerRequestID), *problem.Instance)
					require.Equal(t, "urn:onecard:problem:"+problem.Code, problem.Type)
					require.NotEmpty(t, problem.Title)
					require.NotEmpty(t, *problem.TitleEn)
				}
			})
		}
		for _, text := range []string{newcomer, wrongCheck, newcomer[:15], "扎西", "nmae", "YP0001", "27o41", w.passwords[clerk]} {
			require.NotContains(t, w.log.String(), text)
		}
		require.NoError(t, w.db.VerifyAudit(t.Context()))
	})
}

// in is the same world for a part of its test.
func (w *world) in(t *testing.T) *world {
	part := *w
	part.t = t
	return &part
}
