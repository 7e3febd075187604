package api

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card"
	softchip "onecard/card/chip"
	"onecard/card/order"
	"onecard/card/profile"
)

// reader is a chip in the reader of a counter that speaks to the platform over
// HTTP alone.
type reader struct {
	*world
	profiles []*profile.Profile
	socket   *softchip.Socket
}

func (w *world) reader(image func(*profile.Profile) *softchip.Image) *reader {
	profiles, err := profile.Load()
	require.NoError(w.t, err)
	r := &reader{world: w, profiles: profiles}
	r.insert(image(profiles[0]))
	return r
}

func (r *reader) insert(image *softchip.Image) {
	store, err := softchip.NewMemory(image)
	require.NoError(r.t, err)
	c, err := softchip.New(r.profiles, store, nil)
	require.NoError(r.t, err)
	r.socket = &softchip.Socket{Chip: c}
}

// orders opens what this province signs.
func (r *reader) orders() order.Reader {
	roots := x509.NewCertPool()
	require.True(r.t, roots.AppendCertsFromPEM(r.authority.CA()))
	return order.Reader{Roots: roots, Now: r.clock.Now}
}

// run runs a script and returns the answers as they travel.
func (r *reader) run(script *card.Script) []string {
	r.t.Helper()
	responses, err := card.Run(r.t.Context(), apdu.NewChannel(r.socket), script, nil)
	require.NoError(r.t, err)
	encoded := make([]string, len(responses))
	for i, response := range responses {
		encoded[i] = strings.ToUpper(hex.EncodeToString(response.Bytes()))
	}
	return encoded
}

// work does an operation to its end; the last answer is what the platform says.
func (r *reader) work(as, operation, rest string, challenge int) answer {
	r.t.Helper()
	atr := r.socket.Chip.PowerOn()
	answered := r.run(card.Opening(r.profiles[0], challenge))
	began, err := responses("opening", answered)
	require.NoError(r.t, err)
	opening, err := json.Marshal(answered)
	require.NoError(r.t, err)
	got := r.do(call{method: http.MethodPost, path: "/v1/chip-sessions", as: as, key: uuid.NewString(),
		body: fmt.Sprintf(`{"operation":%q,"reader":"r","atr":"%X","opening":%s%s}`, operation, atr, opening, rest)})
	for got.status < http.StatusBadRequest {
		turn := decode[Turn](r.t, got)
		if turn.Done {
			return got
		}
		given, err := r.orders().Open(*turn.Order, order.Place{Session: turn.Session, Seq: turn.Seq, ATR: atr, Opening: began})
		began = nil
		require.NoError(r.t, err)
		script := card.Script{Steps: given.Steps}
		answers, err := json.Marshal(r.run(&script))
		require.NoError(r.t, err)
		got = r.do(call{method: http.MethodPost, path: fmt.Sprintf("/v1/chip-sessions/%s/steps/%d", turn.Session, turn.Seq), as: as, body: fmt.Sprintf(`{"responses":%s}`, answers)})
	}
	return got
}

// TestCompare makes a card over the interface and compares it: as it was made,
// after somebody has altered it, and as somebody who may not.
func TestCompare(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		r := w.reader(func(p *profile.Profile) *softchip.Image {
			image, err := softchip.Blank(p, [4]byte{0, 0, 0xC0, 1}, makerKey)
			require.NoError(t, err)
			return image
		})
		applied := w.do(call{method: http.MethodPost, path: "/v1/applications", as: clerk, key: uuid.NewString(),
			body: fmt.Sprintf(`{"personId":%q,"kind":"first"}`, w.person("卓玛措").ID)})
		require.Equal(t, http.StatusCreated, applied.status, applied.body)
		id := decode[Application](t, applied).Id
		approved := w.do(call{method: http.MethodPost, path: "/v1/applications/" + id.String() + "/events", as: reviewer, key: uuid.NewString(), body: `{"event":"approve"}`})
		require.Equal(t, http.StatusOK, approved.status, approved.body)
		made := r.work(clerk, "personalise", fmt.Sprintf(`,"applicationId":%q`, id), 16)
		require.Equal(t, http.StatusOK, made.status, made.body)
		require.Nil(t, decode[Turn](t, made).Result.Findings, "of a comparison only")

		different := func() map[string]ChipFindingFinding {
			got := r.work(clerk, "compare", "", 8)
			require.Equal(t, http.StatusOK, got.status, got.body)
			require.NotContains(t, got.body, "卓玛措")
			found := map[string]ChipFindingFinding{}
			for _, f := range *decode[Turn](t, got).Result.Findings {
				if f.Finding != Same {
					found[f.Element] = f.Finding
				}
			}
			return found
		}
		require.Empty(t, different())
		image, err := r.socket.Chip.Image()
		require.NoError(t, err)
		image.Records["SSSE/EF06"][4] = []byte{0x11}
		r.insert(image)
		require.Equal(t, map[string]ChipFindingFinding{"ethnic": Altered}, different())

		refused := r.work(cashier, "compare", "", 8)
		require.Equal(t, http.StatusForbidden, refused.status, refused.body)
		require.NoError(t, w.db.VerifyAudit(t.Context()))
	})
}
