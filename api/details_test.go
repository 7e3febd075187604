package api

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/jpeg"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func photo(t *testing.T, width, height int) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, width, height)), nil))
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// TestPersonDetails fills a file at the counter and reads it: masked, at an
// instant, in clear for a reason.
func TestPersonDetails(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		child := w.enter("file-0001", "630102201506010019", "尕藏卓玛", "13997000011")
		parent := w.enter("file-0002", "630102600101123", "桑杰卓玛", "13997000012")
		path := "/v1/persons/" + child.Id.String()
		start := w.clock.Now()
		post := func(as, key, what, body string) answer {
			return w.do(call{method: "POST", path: path + "/" + what, as: as, key: key, body: body})
		}
		w.clock.Advance(time.Minute)
		address := `{"kind":"residence","place":"630102","address":"昆仑东路一百二十号院三单元","postcode":"810000","reason":"入学"}`
		for key, c := range map[string]struct{ what, body string }{
			"file-0003": {"addresses", address},
			"file-0004": {"guardians", `{"relation":"mother","proof":"household-book","name":"桑杰卓玛","idNumber":"630102196001011231","reason":"户口簿"}`},
			"file-0005": {"groups", `{"label":"urban-resident","since":"2015-06-01","reason":"本人申报"}`},
			"file-0006": {"corrections", `{"version":1,"household":"H-630102-77","householdKind":"urban","householdRole":"女","reason":"户口簿"}`},
		} {
			if c.what == "guardians" {
				full := decode[Unmasked](t, w.do(call{method: "POST", path: "/v1/persons/" + parent.Id.String() + "/unmask", as: clerk, body: `{"fields":["idNumber"],"reason":"r"}`}))
				c.body = strings.Replace(c.body, "630102196001011231", *full.IdNumber, 1)
			}
			got := post(clerk, key, c.what, c.body)
			require.Equal(t, http.StatusOK, got.status, got.body)
		}
		attached := post(clerk, "file-0007", "attachments", fmt.Sprintf(`{"kind":"photo","content":%q,"reason":"拍摄"}`, photo(t, 358, 441)))
		require.Equal(t, http.StatusCreated, attached.status, attached.body)
		again := post(clerk, "file-0007", "attachments", fmt.Sprintf(`{"kind":"photo","content":%q,"reason":"拍摄"}`, photo(t, 358, 441)))
		require.JSONEq(t, attached.body, again.body, "the same request again attaches nothing")
		book := `{"kind":"household-book","content":"` + base64.StdEncoding.EncodeToString(append([]byte("%PDF-1.7\n"), append(make([]byte, 3<<20), "%%EOF"...)...)) + `","reason":"扫描"}`
		paper := post(clerk, "file-0008", "attachments", book)
		require.Equal(t, http.StatusCreated, paper.status, "3 MiB, above the usual limit of a body")

		read := w.do(call{method: "GET", path: path + "/details", as: reviewer})
		require.Equal(t, http.StatusOK, read.status, read.body)
		details := decode[PersonDetails](t, read)
		require.Equal(t, "昆仑东******", details.Addresses[0].AddressMasked)
		require.Equal(t, parent.Id, *details.Guardians[0].PersonId)
		require.Equal(t, "城镇居民", details.Groups[0].Text.Zh)
		require.Equal(t, "H-6******", *details.Household.NumberMasked)
		require.Len(t, details.Attachments, 2)
		require.NotContains(t, read.body, "一百二十号")
		require.NotContains(t, read.body, "19600101")
		before := decode[PersonDetails](t, w.do(call{method: "GET", path: path + "/details?instant=" + url.QueryEscape(start.Format(time.RFC3339)), as: reviewer}))
		require.Empty(t, before.Addresses)
		require.Empty(t, before.Attachments)

		clear := w.do(call{method: "POST", path: path + "/unmask", as: clerk, body: `{"fields":["addresses","guardians","householdNumber"],"reason":"寄送"}`})
		require.Equal(t, http.StatusOK, clear.status, clear.body)
		shown := decode[Unmasked](t, clear)
		require.Equal(t, "昆仑东路一百二十号院三单元", (*shown.Addresses)["residence"])
		require.Contains(t, (*shown.Guardians)["mother"], "19600101")
		require.Equal(t, "H-630102-77", *shown.HouseholdNumber)

		one := func(a answer) string { return path + "/attachments/" + decode[Attachment](t, a).Id.String() }
		content := w.do(call{method: "GET", path: one(attached), as: clerk})
		require.Equal(t, http.StatusOK, content.status)
		require.True(t, bytes.HasPrefix(decode[AttachmentContent](t, content).Content, []byte("\xFF\xD8\xFF")))
		require.Equal(t, http.StatusUnprocessableEntity, w.do(call{method: "GET", path: one(paper), as: clerk}).status, "a paper needs a reason")
		require.Equal(t, http.StatusOK, w.do(call{method: "GET", path: one(paper) + "?reason=" + url.QueryEscape("核对"), as: clerk}).status)
		require.Equal(t, http.StatusForbidden, w.do(call{method: "POST", path: one(attached) + "/refusal", as: clerk, key: "file-0009", body: `{"reason":"r"}`}).status)
		require.Equal(t, http.StatusOK, w.do(call{method: "POST", path: one(attached) + "/refusal", as: reviewer, key: "file-0010", body: `{"reason":"背景不白"}`}).status)

		for name, c := range map[string]struct {
			what, body string
			status     int
			field      string
		}{
			"another size":  {"attachments", fmt.Sprintf(`{"kind":"photo","content":%q,"reason":"r"}`, photo(t, 441, 358)), 422, "content"},
			"no base64":     {"attachments", `{"kind":"photo","content":"????","reason":"r"}`, 400, "content"},
			"wrong group":   {"groups", `{"label":"king","reason":"r"}`, 400, "label"},
			"no such day":   {"groups", `{"label":"retired","since":"2025-02-30","reason":"r"}`, 422, "since"},
			"another name":  {"guardians", `{"relation":"other","proof":"other","name":"别人","idNumber":"630102201506010019","reason":"r"}`, 422, "name"},
			"no reason":     {"addresses", `{"kind":"work","address":"x"}`, 400, "reason"},
			"no such place": {"addresses", `{"kind":"work","address":"x","place":"639999","reason":"r"}`, 422, "place"},
		} {
			got := post(clerk, "file-1-"+strings.ReplaceAll(name, " ", "-"), c.what, c.body)
			require.Equal(t, c.status, got.status, name+got.body)
			require.Equal(t, c.field, (*decode[Problem](t, got).Fields)[0].Field, name)
		}
		elsewhere := w.person("扎西·多杰")
		got := w.do(call{method: "POST", path: "/v1/persons/" + elsewhere.ID.String() + "/addresses", as: clerk, key: "file-0011", body: address})
		require.Equal(t, http.StatusForbidden, got.status, got.body)
		require.NotContains(t, w.log.String(), "昆仑")
	})
}
