package exchange_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/exchange"
	"onecard/internal/gb"
)

func TestSubmit(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s, person := w.service(nil), w.resident(exchange.KindEmployee)
		req := w.purchase(person, pharmacyDesk)
		done, err := s.Submit(t.Context(), actor(pharmacyDesk), req)
		require.NoError(t, err)
		require.Equal(t, exchange.StateConfirmed, done.State)
		require.Equal(t, []exchange.Fen{1250, 0, 1000, 250, 199_000}, []exchange.Fen{done.Total, done.Fund, done.Account, done.Cash, done.Balance})
		require.Equal(t, "QH-01", done.Rule)
		require.Equal(t, exchange.Insurance{Kind: exchange.KindEmployee, Place: xining}, done.Insurance)
		require.Equal(t, sites[pharmacyDesk], done.Site)
		require.Equal(t, req.Items, done.Items)
		require.Len(t, done.Lines, 2)
		require.EqualValues(t, 199_000, w.balance(person))

		again, err := s.Submit(t.Context(), actor(pharmacyDesk), req)
		require.NoError(t, err)
		require.Equal(t, done, again)
		stored, err := s.Transaction(t.Context(), req.ID)
		require.NoError(t, err)
		require.Equal(t, done, stored)
		_, err = s.Transaction(t.Context(), uuid.New())
		require.ErrorIs(t, err, exchange.ErrNotFound)
		require.EqualValues(t, 199_000, w.balance(person), "paid once")
		require.NoError(t, w.insurance.Verify(t.Context()))
		require.NoError(t, w.db.VerifyAudit(t.Context()))
	})
}

func TestSubmitAnswersLateAskersFromTheJournal(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.service(nil)
		req := w.purchase(w.resident(exchange.KindEmployee), pharmacyDesk)
		first, err := s.Submit(t.Context(), actor(pharmacyDesk), req)
		require.NoError(t, err)
		w.cards.mu.Lock()
		w.cards.status = map[uuid.UUID]string{} // the card is lost now
		w.cards.mu.Unlock()
		w.clock.Advance(2 * time.Hour) // and the proof is old
		again, err := s.Submit(t.Context(), actor(pharmacyDesk), req)
		require.NoError(t, err)
		require.Equal(t, first, again)
	})
}

func TestSubmitIsOneRequestPerID(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s, person := w.service(nil), w.resident(exchange.KindEmployee)
		req := w.purchase(person, pharmacyDesk)
		_, err := s.Submit(t.Context(), actor(pharmacyDesk), req)
		require.NoError(t, err)

		other := req
		other.SerialNumber++
		_, err = s.Submit(t.Context(), actor(pharmacyDesk), other)
		require.ErrorIs(t, err, exchange.ErrIDReused)

		_, err = s.Submit(t.Context(), actor(otherDesk), req)
		require.ErrorIs(t, err, exchange.ErrIDReused, "another terminal learns nothing")

		other = req
		other.ID = uuid.New()
		_, err = s.Submit(t.Context(), actor(pharmacyDesk), other)
		require.ErrorIs(t, err, exchange.ErrSerialReused)

		other = w.purchase(person, otherDesk)
		other.SerialNumber = req.SerialNumber
		_, err = s.Submit(t.Context(), actor(otherDesk), other)
		require.NoError(t, err, "serial numbers are counted by each terminal")
	})
}

func TestSubmitRefuses(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s, person := w.service(nil), w.resident(exchange.KindEmployee)
		abroad := w.resident(exchange.KindEmployee)
		proof := func(change func(*exchange.Proof)) func(*exchange.Request) {
			return func(r *exchange.Request) { p := w.cards.proofs[r.ProofID]; change(&p); w.cards.proofs[r.ProofID] = p }
		}
		status := func(value string) func(*exchange.Request) {
			return func(r *exchange.Request) { w.cards.status[w.cards.proofs[r.ProofID].CardID] = value }
		}
		for _, c := range []struct {
			name, desk, words string
			person            uuid.UUID
			change            func(r *exchange.Request)
			want              *exchange.Refusal
		}{
			{"never proven", pharmacyDesk, "", person, func(r *exchange.Request) { r.ProofID = uuid.New() }, exchange.ErrProofUnknown},
			{"proven elsewhere", pharmacyDesk, "", person, proof(func(p *exchange.Proof) { p.Workstation = otherDesk }), exchange.ErrProofUnknown},
			{"for another terminal", pharmacyDesk, "", person, func(r *exchange.Request) { r.Terminal = otherDesk }, exchange.ErrProofUnknown},
			{"not genuine", pharmacyDesk, "", person, proof(func(p *exchange.Proof) { p.Genuine = false }), exchange.ErrNotGenuine},
			{"proof too old", pharmacyDesk, "", person, proof(func(p *exchange.Proof) { p.At = p.At.Add(-16 * time.Minute) }), exchange.ErrProofExpired},
			{"proof from the future", pharmacyDesk, "", person, proof(func(p *exchange.Proof) { p.At = p.At.Add(time.Hour) }), exchange.ErrProofExpired},
			{"sealed", pharmacyDesk, "封存", person, status("0"), exchange.ErrCardNotNormal},
			{"reported lost", pharmacyDesk, "正式挂失", person, status("2"), exchange.ErrCardNotNormal},
			{"locked", pharmacyDesk, "锁定", person, status("3"), exchange.ErrCardNotNormal},
			{"temporarily lost", pharmacyDesk, "临时挂失", person, status("4"), exchange.ErrCardNotNormal},
			{"cancelled", pharmacyDesk, "注销", person, status("9"), exchange.ErrCardNotNormal},
			{"no status", pharmacyDesk, "不明", person, status(""), exchange.ErrCardNotNormal},
			{"wrong institution", hospitalDesk, "", person, nil, exchange.ErrWrongSite},
			{"not insured", pharmacyDesk, "", uuid.New(), nil, exchange.ErrNotInsured},
			{"treated in another province", "desk-away", "就医地", abroad, nil, exchange.ErrNoRoute},
		} {
			t.Run(c.name, func(t *testing.T) {
				req := w.purchase(c.person, c.desk)
				if c.change != nil {
					c.change(&req)
				}
				_, err := s.Submit(t.Context(), actor(c.desk), req)
				require.ErrorIs(t, err, c.want)
				var refusal *exchange.Refusal
				require.ErrorAs(t, err, &refusal)
				require.Contains(t, refusal.Text.ZH, c.words)
				require.NotEmpty(t, refusal.Text.EN)
				_, err = s.Transaction(t.Context(), req.ID)
				require.ErrorIs(t, err, exchange.ErrNotFound, "nothing begun")
				var noted int64
				require.NoError(t, w.db.Read(t.Context()).Table("audit_entries").
					Where("action = ? AND subject = ?", "transaction.refuse", "transaction:"+req.ID.String()).Count(&noted).Error)
				require.EqualValues(t, 1, noted)
			})
		}
		require.EqualValues(t, 200_000, w.balance(person))
	})
}

func TestSubmitChecksTheRequest(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.service(nil)
		person := w.resident(exchange.KindEmployee)
		day := func(s string) gb.Date { d, err := gb.ParseDate(s); require.NoError(t, err); return d }
		for _, c := range []struct {
			field  string
			change func(r *exchange.Request)
		}{
			{"id", func(r *exchange.Request) { r.ID = uuid.Nil }},
			{"proof", func(r *exchange.Request) { r.ProofID = uuid.Nil }},
			{"terminal", func(r *exchange.Request) { r.Terminal = strings.Repeat("x", 65) }},
			{"serial", func(r *exchange.Request) { r.SerialNumber = 0 }},
			{"business", func(r *exchange.Request) { r.Business = "pharmacy.gift" }},
			{"date", func(r *exchange.Request) { r.Date = gb.Date{} }},
			{"date", func(r *exchange.Request) { r.Date = day("2026-03-03") }},
			{"date", func(r *exchange.Request) { r.Date = day("2026-02-26") }},
			{"items", func(r *exchange.Request) { r.Items = nil }},
			{"items", func(r *exchange.Request) { r.Items = make([]exchange.Item, 501) }},
			{"items[1].code", func(r *exchange.Request) { r.Items[1].Code = "" }},
			{"items[0].name", func(r *exchange.Request) { r.Items[0].Name = strings.Repeat("药", 101) }},
			{"items[0].category", func(r *exchange.Request) { r.Items[0].Category = "C" }},
			{"items[0].fen", func(r *exchange.Request) { r.Items[0].Fen = -1000 }},
			{"items[1].fen", func(r *exchange.Request) { r.Items[1].Fen = exchange.MaxFen + 1 }},
			{"totalFen", func(r *exchange.Request) { r.TotalFen++ }},
			{"totalFen", func(r *exchange.Request) {
				r.Items[0].Fen, r.Items[1].Fen, r.TotalFen = exchange.MaxFen, 1, exchange.MaxFen+1
			}},
		} {
			req := w.purchase(person, pharmacyDesk)
			c.change(&req)
			_, err := s.Submit(t.Context(), actor(pharmacyDesk), req)
			var invalid *exchange.Invalid
			require.ErrorAs(t, err, &invalid, c.field)
			require.Len(t, invalid.Fields, 1)
			require.Equal(t, c.field, invalid.Fields[0].Field)
			require.NotEmpty(t, invalid.Fields[0].Text.ZH)
			require.ErrorContains(t, err, c.field)
		}
		req := w.purchase(person, pharmacyDesk)
		req.Date = day("2026-02-27")
		_, err := s.Submit(t.Context(), actor(pharmacyDesk), req)
		require.NoError(t, err, "three days back is allowed")
	})
}

func TestSubmitDeclined(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.service(nil)
		req := w.purchase(w.resident(exchange.KindResident), pharmacyDesk)
		for range 2 {
			done, err := s.Submit(t.Context(), actor(pharmacyDesk), req)
			require.NoError(t, err)
			require.Equal(t, exchange.StateDeclined, done.State)
			require.ErrorIs(t, done.Reason, &exchange.Refusal{Code: "noAccount"})
			require.False(t, done.EndedAt.IsZero())
		}
		reversed, err := s.Reverse(t.Context(), actor(pharmacyDesk), req.ID, "退货")
		require.NoError(t, err, "nothing is booked: a success")
		require.Equal(t, exchange.StateDeclined, reversed.State)
	})
}

// TestNoUsableAnswerIsReversed walks through the ways in which a back end can
// fail to answer after it has booked.
func TestNoUsableAnswerIsReversed(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		person := w.resident(exchange.KindEmployee)
		for _, c := range []struct {
			name   string
			answer func(o exchange.Outcome) (exchange.Outcome, error)
		}{
			{"error", func(exchange.Outcome) (exchange.Outcome, error) { return exchange.Outcome{}, context.DeadlineExceeded }},
			{"panic", func(exchange.Outcome) (exchange.Outcome, error) { panic("broken adapter") }},
			{"parts are not the total", func(o exchange.Outcome) (exchange.Outcome, error) { o.Cash++; return o, nil }},
			{"negative part", func(o exchange.Outcome) (exchange.Outcome, error) { o.Fund, o.Cash = -100, o.Cash+100; return o, nil }},
			{"lines are not the parts", func(o exchange.Outcome) (exchange.Outcome, error) { o.Lines = o.Lines[:1]; return o, nil }},
			{"line of nobody", func(o exchange.Outcome) (exchange.Outcome, error) { o.Lines[0].Payer = "friend"; return o, nil }},
			{"negative balance", func(o exchange.Outcome) (exchange.Outcome, error) { o.Balance = -1; return o, nil }},
			{"no result", func(o exchange.Outcome) (exchange.Outcome, error) { o.Result = ""; return o, nil }},
			{"absent", func(o exchange.Outcome) (exchange.Outcome, error) { o.Result = exchange.Absent; return o, nil }},
			{"declined without reason", func(o exchange.Outcome) (exchange.Outcome, error) { o.Result = exchange.Declined; return o, nil }},
		} {
			t.Run(c.name, func(t *testing.T) {
				s := w.service(stub{Backend: w.insurance, submit: func(ctx context.Context, m exchange.Message) (exchange.Outcome, error) {
					o, err := w.insurance.Submit(ctx, m)
					if err != nil || o.Result != exchange.Confirmed {
						return o, errors.New("the test wants a booking")
					}
					return c.answer(o)
				}})
				req := w.purchase(person, pharmacyDesk)
				done, err := s.Submit(t.Context(), actor(pharmacyDesk), req)
				require.NoError(t, err)
				require.Equal(t, exchange.StateUnknown, done.State)
				require.EqualValues(t, 199_000, w.balance(person), "booked late")

				require.NoError(t, s.Recover(t.Context()))
				done, err = s.Submit(t.Context(), actor(pharmacyDesk), req)
				require.NoError(t, err)
				require.Equal(t, exchange.StateReversed, done.State)
				require.NotEmpty(t, done.ReversalReason)
				require.EqualValues(t, 200_000, w.balance(person))
			})
		}
		require.NoError(t, w.insurance.Verify(t.Context()))
	})
}

// TestSubmitWhileRunning has the same request arrive while the first waits, the
// terminal hang up, and the answer come in time all the same.
func TestSubmitWhileRunning(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		arrived, release := make(chan struct{}), make(chan struct{})
		s := w.service(stub{Backend: w.insurance, submit: func(ctx context.Context, m exchange.Message) (exchange.Outcome, error) {
			close(arrived)
			<-release
			return w.insurance.Submit(ctx, m)
		}})
		req := w.purchase(w.resident(exchange.KindEmployee), pharmacyDesk)
		ctx, hangUp := context.WithCancel(t.Context())
		result := make(chan exchange.Transaction, 1)
		go func() {
			done, _ := s.Submit(ctx, actor(pharmacyDesk), req)
			result <- done
		}()
		<-arrived
		running, err := s.Submit(t.Context(), actor(pharmacyDesk), req)
		require.ErrorIs(t, err, exchange.ErrRunning)
		require.Equal(t, exchange.StatePending, running.State)
		require.NoError(t, s.Recover(t.Context()), "before its deadline it is left alone")
		hangUp()
		close(release)
		require.Equal(t, exchange.StateConfirmed, (<-result).State)
	})
}

// TestLateAnswerIsNotTaken lets recovery give a transaction up while its back
// end still works, and the answer come afterwards.
func TestLateAnswerIsNotTaken(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, c := range []struct {
			name   string
			giveUp func(s *exchange.Service, id uuid.UUID)
		}{
			{"recovery", func(s *exchange.Service, _ uuid.UUID) {
				w.clock.Advance(time.Minute)
				require.NoError(t, s.Recover(t.Context()))
			}},
			{"reversal by the terminal", func(s *exchange.Service, id uuid.UUID) {
				done, err := s.Reverse(t.Context(), actor(pharmacyDesk), id, "终端超时")
				require.NoError(t, err)
				require.Equal(t, exchange.StateReversed, done.State)
			}},
		} {
			for _, booked := range []bool{true, false} {
				person := w.resident(exchange.KindEmployee)
				arrived, release := make(chan struct{}), make(chan struct{})
				s := w.service(stub{Backend: w.insurance, submit: func(ctx context.Context, m exchange.Message) (exchange.Outcome, error) {
					if booked {
						o, err := w.insurance.Submit(ctx, m)
						close(arrived)
						<-release
						return o, err
					}
					close(arrived)
					<-release
					return w.insurance.Submit(ctx, m)
				}})
				req := w.purchase(person, pharmacyDesk)
				result := make(chan exchange.Transaction, 1)
				go func() {
					done, _ := s.Submit(t.Context(), actor(pharmacyDesk), req)
					result <- done
				}()
				<-arrived
				c.giveUp(s, req.ID)
				close(release)
				require.Equal(t, exchange.StateReversed, (<-result).State, c.name)
				require.EqualValues(t, 200_000, w.balance(person), c.name)
			}
		}
		require.NoError(t, w.insurance.Verify(t.Context()))
	})
}

// TestDeadline has a back end that never answers and does not listen.
func TestDeadline(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		hold := make(chan struct{})
		t.Cleanup(func() { close(hold) })
		c := w.config(stub{Backend: w.insurance, submit: func(context.Context, exchange.Message) (exchange.Outcome, error) {
			<-hold
			return exchange.Outcome{}, errors.New("too late")
		}})
		routes, err := exchange.DefaultRoutes()
		require.NoError(t, err)
		for i := range routes.Businesses {
			routes.Businesses[i].Timeout = 10 * time.Millisecond
		}
		c.Routes = routes
		s := w.serve(c)
		done, err := s.Submit(t.Context(), actor(pharmacyDesk), w.purchase(w.resident(exchange.KindEmployee), pharmacyDesk))
		require.NoError(t, err)
		require.Equal(t, exchange.StateUnknown, done.State)
	})
}

// TestSameRequestAtOnce sends one request many times at once: one is carried
// out, and money moves once.
func TestSameRequestAtOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s, person := w.service(nil), w.resident(exchange.KindEmployee)
		req := w.purchase(person, pharmacyDesk)
		var senders sync.WaitGroup
		for range 8 {
			senders.Go(func() {
				done, err := s.Submit(t.Context(), actor(pharmacyDesk), req)
				if !errors.Is(err, exchange.ErrRunning) && (err != nil || done.State != exchange.StateConfirmed) {
					t.Errorf("neither running nor confirmed: %s %v", done.State, err)
				}
			})
		}
		senders.Wait()
		require.EqualValues(t, 199_000, w.balance(person))
		require.NoError(t, w.insurance.Verify(t.Context()))
	})
}

func TestNewChecksItsConfiguration(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.config(nil)
		c.Proofs = nil
		_, err := exchange.New(c)
		require.Error(t, err)
		c = w.config(nil)
		c.Backends = map[string]exchange.Backend{"other": w.insurance}
		_, err = exchange.New(c)
		require.ErrorIs(t, err, exchange.ErrRoutes)
	})
}
