package api

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// padOf is a picture of what somebody wrote in a pad, or of nothing.
func padOf(t *testing.T, written bool) image.Image {
	t.Helper()
	pad := image.NewGray(image.Rect(0, 0, 480, 160))
	draw.Draw(pad, pad.Bounds(), image.White, image.Point{}, draw.Src)
	if written {
		draw.Draw(pad, image.Rect(60, 70, 320, 76), image.NewUniform(color.Black), image.Point{}, draw.Src)
	}
	return pad
}

// TestHandover: who takes a card is told once, with a signature that is one, and
// shown without the agent's number.
func TestHandover(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		path := "/v1/cards/" + w.madeCard("桑杰").String() + "/handover"
		var file, jpg bytes.Buffer
		require.NoError(t, png.Encode(&file, padOf(t, true)))
		require.NoError(t, jpeg.Encode(&jpg, padOf(t, true), nil))
		var empty bytes.Buffer
		require.NoError(t, png.Encode(&empty, padOf(t, false)))
		agent := fmt.Sprintf(`{"name":"卓玛措","number":%q,"relation":"母"}`, idNumber("630102", "19850601", 42))
		body := func(agent, proof string, signature []byte) string {
			return fmt.Sprintf(`{"taker":"agent","agent":%s,"proof":%q,"signature":%q}`, agent, proof, base64.StdEncoding.EncodeToString(signature))
		}
		for i, test := range []struct {
			body   string
			status int
			says   string
		}{
			{`{"taker":"agent"}`, 422, "代领须填代领人"},
			{`{"taker":"holder"}`, 422, "应由监护人或代领人领取"}, // a small child
			{body(agent, "household-book", jpg.Bytes()), 422, "应为 PNG 图片"},
			{body(agent, "household-book", empty.Bytes()), 422, "签字是空白的"},
			{body(agent, "household-book", file.Bytes()[:60]), 422, "图片无法识别"},
			{body(agent, "household-book", bytes.Repeat([]byte{1}, 300<<10)), 400, "signature"},
			{body(agent, "word", file.Bytes()), 400, "proof"},
			{body(`{"name":"卓玛措","number":"630102198506010000","relation":"母"}`, "other", file.Bytes()), 422, "agent.number"},
		} {
			got := w.do(call{method: "POST", path: path, as: clerk, key: fmt.Sprintf("hand-bad-%02d", i), body: test.body})
			require.Equal(t, test.status, got.status, got.body)
			require.Contains(t, got.body, test.says)
			require.NotContains(t, got.body, "19850601")
		}
		told := call{method: "POST", path: path, as: clerk, key: "hand-0001", body: body(agent, "household-book", file.Bytes())}
		first := w.do(told)
		require.Equal(t, http.StatusCreated, first.status, first.body)
		require.Equal(t, first.body, w.do(told).body)
		require.Equal(t, http.StatusForbidden, w.do(call{method: "POST", path: path, as: reviewer, key: "hand-0002", body: `{"taker":"holder"}`}).status)
		got := w.do(call{method: "GET", path: path, as: reviewer})
		require.Equal(t, http.StatusOK, got.status, got.body)
		state := decode[CardHandover](t, got)
		require.Len(t, state.Handovers, 1)
		require.Equal(t, CardHandoverAskedNone, state.Asked)
		require.Empty(t, state.Lacks)
		require.Equal(t, "卓玛措 母", *state.Handovers[0].AgentName+" "+*state.Handovers[0].Relation)
		require.True(t, state.Handovers[0].Signed)
		require.NotContains(t, got.body, "19850601")
		require.Contains(t, *state.Handovers[0].AgentNumberMasked, "***")
		for _, text := range []string{"卓玛措", "19850601", base64.StdEncoding.EncodeToString(file.Bytes()[:30])} {
			require.False(t, strings.Contains(w.log.String(), text), "no personal data in the log")
		}
		require.NoError(t, w.db.VerifyAudit(t.Context()))
	})
}

// TestCardActivation: both halves stand side by side; without an account there
// is nothing to ask a bank for.
func TestCardActivation(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		path := "/v1/cards/" + w.madeCard("桑杰").String() + "/activation"
		got := w.do(call{method: "GET", path: path, as: reviewer})
		require.Equal(t, http.StatusOK, got.status, got.body)
		both := decode[CardActivation](t, got)
		require.False(t, both.Social.Done)
		require.Equal(t, "封存", both.Social.Text.Zh)
		require.Equal(t, "没有金融账户", both.Financial.Text.Zh)
		require.False(t, both.Financial.Pending || both.Financial.Askable)
		got = w.do(call{method: "POST", path: path, as: clerk, key: "ask-00001"})
		require.Equal(t, http.StatusConflict, got.status, got.body)
		require.Contains(t, got.body, "nothing-to-activate")
		require.Equal(t, http.StatusForbidden, w.do(call{method: "POST", path: path, as: reviewer, key: "ask-00002"}).status)
		require.Equal(t, http.StatusForbidden, w.do(call{method: "GET", path: path, as: cashier}).status)
	})
}
