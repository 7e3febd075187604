package api

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/issuance"
	"onecard/issuance/tell"
	"onecard/registry"
)

// TestApplying leads applications through the interface: with an agent, a
// proof that is confirmed, the queue, and a review of several at once.
func TestApplying(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		first, second := w.enter("apply-0001", "630102198501010015", "桑杰", "13997000021"), w.enter("apply-0002", "630102198501020010", "卓玛", "13997000022")
		post := func(as, key, path, body string) answer {
			return w.do(call{method: "POST", path: path, as: as, key: key, body: body})
		}
		get := func(as, path string) answer { return w.do(call{method: "GET", path: path, as: as}) }
		one := post(clerk, "apply-0003", "/v1/applications", fmt.Sprintf(`{"personId":%q,"kind":"first","applicant":"agent","draft":true}`, first.Id))
		require.Equal(t, http.StatusCreated, one.status, one.body)
		a := decode[Application](t, one)
		path := "/v1/applications/" + a.Id.String()
		amend := call{method: "PUT", path: path, as: clerk, key: "apply-0004", body: `{"agent":{"name":"才仁","number":"11010519491231002X","authorisation":"委字 7 号"},"validFrom":"2020-01-01","validUntil":"9999-12-31"}`}
		amended := w.do(amend)
		require.Equal(t, http.StatusOK, amended.status, amended.body)
		require.JSONEq(t, amended.body, w.do(amend).body)
		file := decode[ApplicationFile](t, get(reviewer, path))
		require.Equal(t, "才仁", file.Agent.Name)
		require.Equal(t, "9999-12-31", *file.ValidUntil)
		submitted := post(clerk, "apply-0005", path+"/events", `{"event":"submit"}`)
		require.Equal(t, http.StatusOK, submitted.status, submitted.body)

		attached := post(clerk, "apply-0006", "/v1/persons/"+first.Id.String()+"/attachments", fmt.Sprintf(`{"kind":"photo","content":%q,"reason":"拍摄"}`, photo(t, 358, 441)))
		require.Equal(t, http.StatusCreated, attached.status, attached.body)
		require.Equal(t, "blank", (*decode[Attachment](t, attached).Findings)[0].Code)
		refused := post(reviewer, "apply-0007", path+"/events", `{"event":"approve"}`)
		require.Equal(t, http.StatusConflict, refused.status)
		require.Contains(t, refused.body, "unconfirmed")
		proof := decode[ProofPicture](t, get(clerk, path+"/proof"))
		require.NotEmpty(t, *proof.Photo)
		require.Len(t, proof.Findings, 1)
		stale := post(clerk, "apply-0008", path+"/proof", `{"digest":"`+strings.Repeat("0", 32)+`"}`)
		require.Equal(t, http.StatusConflict, stale.status)
		confirmed := post(clerk, "apply-0009", path+"/proof", `{"digest":"`+*proof.Digest+`"}`)
		require.Equal(t, http.StatusOK, confirmed.status, confirmed.body)
		require.NotNil(t, decode[Application](t, confirmed).ConfirmedAt)

		other := decode[Application](t, post(clerk, "apply-0010", "/v1/applications", fmt.Sprintf(`{"personId":%q,"kind":"first","method":"batch"}`, second.Id)))
		queues := decode[QueueList](t, get(reviewer, "/v1/queues"))
		require.Equal(t, "applied", queues.Queues[0].State)
		require.Equal(t, 2, queues.Queues[0].Open)
		require.Equal(t, http.StatusForbidden, get(reviewer, "/v1/queues?place=632723").status)
		require.Equal(t, http.StatusBadRequest, get(reviewer, "/v1/queues?place=63").status)
		page := decode[ApplicationList](t, get(reviewer, "/v1/applications?queue=applied&limit=1"))
		require.Equal(t, other.Id, decode[ApplicationList](t, get(reviewer, "/v1/applications?queue=applied&method=batch")).Applications[0].Id)
		require.Len(t, page.Applications, 1)
		require.Equal(t, http.StatusUnprocessableEntity, get(reviewer, "/v1/applications?queue=draft").status)

		bulk := fmt.Sprintf(`{"ids":[%q,%q,%q],"event":"approve"}`, a.Id, other.Id, first.Id)
		decided := post(reviewer, "apply-0011", "/v1/applications/events", bulk)
		require.Equal(t, http.StatusOK, decided.status, decided.body)
		outcomes := decode[BulkOutcome](t, decided).Outcomes
		require.Equal(t, []string{"numbered", "numbered"}, []string{*outcomes[0].State, *outcomes[1].State})
		require.Equal(t, "not-found", outcomes[2].Problem.Code)
		require.JSONEq(t, decided.body, post(reviewer, "apply-0011", "/v1/applications/events", bulk).body, "the same request again decides nothing")
		require.Empty(t, decode[ApplicationList](t, get(reviewer, "/v1/applications?queue=applied")).Applications)
	})
}

// TestMinistryAnswer: where the review waits for the ministry, the page says so
// and why; the answer is shown, and the ministry is asked anew.
func TestMinistryAnswer(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		person := w.enter("check-0001", "630102198501010015", "桑杰", "13997000021")
		apply := call{method: "POST", path: "/v1/applications", as: clerk, key: "check-0002", body: fmt.Sprintf(`{"personId":%q,"kind":"first"}`, person.Id)}
		a := decode[Application](t, w.do(apply))
		require.Equal(t, "none none 未查询", fmt.Sprint(a.Ministry.Demand, " ", a.Ministry.State, " ", a.Ministry.Text.Zh))
		path := "/v1/applications/" + a.Id.String()
		ask := call{method: "POST", path: path + "/ministry-query", as: reviewer, key: "check-0003"}
		require.Equal(t, http.StatusConflict, w.do(ask).status, "the place does not ask")

		var err error
		w.policies, err = issuance.ParsePolicies([]byte(strings.Replace(string(issuance.DefaultPolicies()), "ministryQuery: none", "ministryQuery: required", 1)))
		require.NoError(t, err)
		w.server = w.newServer(w.exchangeService())
		approve := func(key string) answer {
			return w.do(call{method: "POST", path: path + "/events", as: reviewer, key: key, body: `{"event":"approve"}`})
		}
		refused := approve("check-0004")
		require.Equal(t, http.StatusConflict, refused.status)
		problem := decode[Problem](t, refused)
		require.Equal(t, "ministry-not-asked", problem.Code)
		require.Contains(t, problem.Title, "部级查重")
		require.Contains(t, *problem.TitleEn, "ministry")

		ask.key = "check-0005"
		asked := w.do(ask)
		require.Equal(t, http.StatusOK, asked.status, asked.body)
		require.JSONEq(t, asked.body, w.do(ask).body, "the same request again asks nothing")
		require.Equal(t, "ministry-unanswered", decode[Problem](t, approve("check-0006")).Code)
		var questions []tell.Delivery
		require.NoError(t, w.db.Read(t.Context()).Where("subject = ?", "application:"+a.Id.String()).Find(&questions).Error)
		require.Len(t, questions, 1)
		answered := func(event, province string) {
			ministry := registry.Actor{Operator: "peer:ministry", Place: "630000"}
			require.NoError(t, w.db.InTx(t.Context(), ministry, func(tx *registry.Tx) error {
				noted, err := issuance.Answered(tx, a.Id, questions[0].ID, event, province)
				require.True(t, noted)
				return err
			}))
		}
		answered("lose", "")
		answered("elsewhere", "540000")
		problem = decode[Problem](t, approve("check-0007"))
		require.Equal(t, "ministry-elsewhere", problem.Code)
		require.Contains(t, problem.Title, "540000")
		file := decode[ApplicationFile](t, w.do(call{method: "GET", path: path, as: reviewer}))
		require.Equal(t, "required duplicate 540000", fmt.Sprint(file.Application.Ministry.Demand, " ", file.Application.Ministry.State, " ", *file.Application.Ministry.Province))
	})
}

// TestTakeList: a list by the interface, its rows and its files.
func TestTakeList(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		admin := registry.Actor{Operator: "admin", Place: "630000"}
		require.NoError(t, w.db.InTx(t.Context(), admin, func(tx *registry.Tx) error {
			return tx.AddInstitution(registry.Institution{ID: "school-1", Kind: "school", Name: "小学", Place: "630102"})
		}))
		content := base64.StdEncoding.EncodeToString([]byte("姓名,身份证号码,民族\n桑杰,630102198501010015,藏族\n卓玛,1,藏族\n"))
		take := call{method: "POST", path: "/v1/collective-orders", as: clerk, key: "list-0001", body: `{"institution":"school-1","content":"` + content + `"}`}
		taken := w.do(take)
		require.Equal(t, http.StatusOK, taken.status, taken.body)
		order := decode[CollectiveOrder](t, taken)
		require.Equal(t, "done 1 0 1", fmt.Sprint(order.State, " ", order.Applied, " ", order.Draft, " ", order.Refused))
		require.JSONEq(t, taken.body, w.do(take).body)
		path := "/v1/collective-orders/" + order.Id.String()
		file := decode[CollectiveFile](t, w.do(call{method: "GET", path: path, as: reviewer}))
		require.Len(t, file.Rows, 2)
		require.Contains(t, file.Rows[1].Text.Zh, "社会保障号码")
		for what, says := range map[string]string{"/result": "未受理", "/handout": "桑杰,6301**********"} {
			got := w.do(call{method: "GET", path: path + what, as: clerk})
			require.Equal(t, http.StatusOK, got.status)
			require.Contains(t, got.body, says)
		}
		bad := take
		bad.key, bad.body = "list-0002", `{"institution":"nobody","content":"`+content+`"}`
		require.Equal(t, http.StatusUnprocessableEntity, w.do(bad).status)
	})
}
