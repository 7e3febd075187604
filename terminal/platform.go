package terminal

import (
	"context"
	"encoding/hex"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"onecard/apdu"
	"onecard/api/client"
	"onecard/card"
)

// Platform is the province as one signed-in operator of this workstation
// reaches it. The client repeats a request that is safe to repeat when the
// line breaks.
type Platform struct {
	API   *client.ClientWithResponses
	Token string // of the operator
}

func (p Platform) authorise(_ context.Context, request *http.Request) error {
	request.Header.Set("Authorization", "Bearer "+p.Token)
	return nil
}

// answered sorts out what a generated call returns: the value, the problem
// that the platform answered, or an answer that is neither.
func answered[T any](value *T, problem *client.Problem) (T, error) {
	var none T
	switch {
	case problem != nil:
		return none, problem
	case value == nil:
		return none, ErrOffline.Because(errUnreadable)
	}
	return *value, nil
}

// openSession asks for the first script. The key makes a repeated request the
// same session.
func (p Platform) openSession(ctx context.Context, job Job, reader string, atr []byte, opening []apdu.Response) (client.Turn, error) {
	body := client.NewChipSession{
		Operation:     client.NewChipSessionOperation(job.Operation),
		ApplicationId: job.ApplicationID,
		CardId:        job.CardID,
		Reader:        reader,
		Atr:           upperHex(atr),
		Opening:       encodeResponses(opening),
		Items:         chipItems(job.Items),
		Movement:      job.Movement,
	}
	params := &client.OpenChipSessionParams{IdempotencyKey: uuid.NewString()}
	answer, err := p.API.OpenChipSessionWithResponse(ctx, params, body, p.authorise)
	if err != nil {
		return client.Turn{}, ErrOffline.Because(err)
	}
	return answered(answer.JSON201, answer.ApplicationproblemJSONDefault)
}

// step hands the answers to script seq back and gets the next script. The
// same answers may be sent again: the platform answers the same.
func (p Platform) step(ctx context.Context, turn client.Turn, responses []apdu.Response, pin string) (client.Turn, error) {
	body := client.ChipAnswers{Responses: encodeResponses(responses)}
	if pin != "" {
		body.Pin = &pin
	}
	answer, err := p.API.StepChipSessionWithResponse(ctx, turn.Session, turn.Seq, body, p.authorise)
	if err != nil {
		return client.Turn{}, ErrOffline.Because(err)
	}
	return answered(answer.JSON200, answer.ApplicationproblemJSONDefault)
}

func chipItems(items []card.Item) *[]client.ChipItem {
	if len(items) == 0 {
		return nil
	}
	var asked []client.ChipItem
	for _, item := range items {
		one := client.ChipItem{Path: item.Path}
		if item.Write != nil {
			one.Text = &item.Write.Text
			if len(item.Write.Parts) > 0 {
				one.Text, one.Parts = nil, &[]client.ChipItemPart{}
				for _, name := range slices.Sorted(maps.Keys(item.Write.Parts)) {
					*one.Parts = append(*one.Parts, client.ChipItemPart{Name: name, Text: item.Write.Parts[name]})
				}
			}
		}
		asked = append(asked, one)
	}
	return &asked
}

func upperHex(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }

func encodeResponses(responses []apdu.Response) []client.ResponseAPDU {
	encoded := make([]client.ResponseAPDU, len(responses))
	for i, r := range responses {
		encoded[i] = upperHex(r.Bytes())
	}
	return encoded
}

// Authenticate hands a request of the national driver's form to the province's
// authentication service and returns its answer (安全认证). An operator's token
// is sent where there is one.
func (p Platform) Authenticate(ctx context.Context, key, message string) (string, error) {
	var editors []client.RequestEditorFn
	if p.Token != "" {
		editors = append(editors, p.authorise)
	}
	params := &client.AuthenticateMessageParams{IdempotencyKey: key}
	answer, err := p.API.AuthenticateMessageWithResponse(ctx, params, client.AuthenticationMessage{Message: message}, editors...)
	if err != nil {
		return "", ErrOffline.Because(err)
	}
	given, err := answered(answer.JSON200, answer.ApplicationproblemJSONDefault)
	return given.Message, err
}

// SignIn signs an operator in at this workstation (登录).
func SignIn(ctx context.Context, api *client.ClientWithResponses, who client.SignIn) (client.SignedIn, error) {
	answer, err := api.SignInWithResponse(ctx, who)
	if err != nil {
		return client.SignedIn{}, ErrOffline.Because(err)
	}
	return answered(answer.JSON200, answer.ApplicationproblemJSONDefault)
}

// SignOut ends the operator's session (退出).
func (p Platform) SignOut(ctx context.Context) error {
	answer, err := p.API.SignOutWithResponse(ctx, p.authorise)
	if err != nil {
		return ErrOffline.Because(err)
	}
	if answer.ApplicationproblemJSONDefault != nil {
		return answer.ApplicationproblemJSONDefault
	}
	return nil
}
