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
	"onecard/registry"
)

func TestReverse(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s, person := w.service(nil), w.resident(exchange.KindEmployee)
		req := w.purchase(person, pharmacyDesk)
		_, err := s.Submit(t.Context(), actor(pharmacyDesk), req)
		require.NoError(t, err)
		require.EqualValues(t, 199_000, w.balance(person))

		_, err = s.Reverse(t.Context(), actor(otherDesk), req.ID, "不是本机构的交易")
		require.ErrorIs(t, err, exchange.ErrNotYours)
		for range 2 {
			done, err := s.Reverse(t.Context(), actor(pharmacyDesk), req.ID, "患者退药")
			require.NoError(t, err)
			require.Equal(t, exchange.StateReversed, done.State)
			require.Equal(t, "患者退药", done.ReversalReason)
			require.EqualValues(t, 200_000, w.balance(person))
		}
		again, err := s.Submit(t.Context(), actor(pharmacyDesk), req)
		require.NoError(t, err)
		require.Equal(t, exchange.StateReversed, again.State, "the same request does not book again")
		require.NoError(t, w.insurance.Verify(t.Context()))
	})
}

func TestReverseBeforeItsOriginal(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s, person := w.service(nil), w.resident(exchange.KindEmployee)
		req := w.purchase(person, pharmacyDesk)
		for range 2 {
			done, err := s.Reverse(t.Context(), actor(pharmacyDesk), req.ID, "超时未收到应答")
			require.NoError(t, err)
			require.Equal(t, exchange.StateBlocked, done.State)
		}
		_, err := s.Reverse(t.Context(), actor(otherDesk), req.ID, "别人的")
		require.ErrorIs(t, err, exchange.ErrNotYours)
		_, err = s.Submit(t.Context(), actor(pharmacyDesk), req)
		require.ErrorIs(t, err, exchange.ErrBlocked)
		require.EqualValues(t, 200_000, w.balance(person))

		next := w.purchase(person, pharmacyDesk)
		next.SerialNumber = req.SerialNumber
		done, err := s.Submit(t.Context(), actor(pharmacyDesk), next)
		require.NoError(t, err, "a blocked id takes no serial number")
		require.Equal(t, exchange.StateConfirmed, done.State)
	})
}

func TestReverseChecksTheRequest(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.service(nil)
		for _, c := range []struct {
			id            uuid.UUID
			reason, field string
		}{
			{uuid.Nil, "退货", "id"},
			{uuid.New(), "", "reason"},
			{uuid.New(), strings.Repeat("退", 201), "reason"},
		} {
			_, err := s.Reverse(t.Context(), actor(pharmacyDesk), c.id, c.reason)
			var invalid *exchange.Invalid
			require.ErrorAs(t, err, &invalid)
			require.Equal(t, c.field, invalid.Fields[0].Field)
		}
		_, err := s.Reverse(t.Context(), actor("nowhere"), uuid.New(), "退货")
		require.ErrorIs(t, err, registry.ErrNotFound)
	})
}

// TestReversalRacesItsOriginal sends both at once: whatever comes first, the
// end is that nothing is booked.
func TestReversalRacesItsOriginal(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s, person := w.service(nil), w.resident(exchange.KindEmployee)
		for range 12 {
			req := w.purchase(person, pharmacyDesk)
			var both sync.WaitGroup
			both.Go(func() {
				if _, err := s.Submit(t.Context(), actor(pharmacyDesk), req); err != nil && !errors.Is(err, exchange.ErrBlocked) {
					t.Errorf("submit: %v", err)
				}
			})
			both.Go(func() {
				if _, err := s.Reverse(t.Context(), actor(pharmacyDesk), req.ID, "终端放弃"); err != nil {
					t.Errorf("reverse: %v", err)
				}
			})
			both.Wait()
			require.NoError(t, s.Recover(t.Context()))
			done, err := s.Transaction(t.Context(), req.ID)
			require.NoError(t, err)
			require.Contains(t, []exchange.State{exchange.StateReversed, exchange.StateBlocked}, done.State)
			require.EqualValues(t, 200_000, w.balance(person))
		}
		require.NoError(t, w.insurance.Verify(t.Context()))
	})
}

// TestRecovery shows what becomes of an unknown transaction for each thing that
// the back end may say.
func TestRecovery(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		silent := errors.New("no line")
		refusal := &exchange.Refusal{Code: "refused", Text: exchange.Text{ZH: "不予受理", EN: "refused"}}
		for _, c := range []struct {
			name    string
			query   exchange.Outcome
			asked   error
			reverse error
			want    exchange.State
		}{
			{"declined", exchange.Outcome{Result: exchange.Declined, Reason: refusal}, nil, nil, exchange.StateDeclined},
			{"declined without reason", exchange.Outcome{Result: exchange.Declined}, nil, nil, exchange.StateReversed},
			{"booked late", exchange.Outcome{Result: exchange.Confirmed, Cash: 1250}, nil, nil, exchange.StateReversed},
			{"never arrived", exchange.Outcome{Result: exchange.Absent}, nil, nil, exchange.StateReversed},
			{"reversed before", exchange.Outcome{Result: exchange.Reversed}, nil, nil, exchange.StateReversed},
			{"nonsense", exchange.Outcome{}, nil, nil, exchange.StateReversed},
			{"silent", exchange.Outcome{}, silent, nil, exchange.StateUnknown},
			{"silent to the reversal", exchange.Outcome{Result: exchange.Absent}, nil, silent, exchange.StateReversing},
		} {
			t.Run(c.name, func(t *testing.T) {
				mute := stub{
					submit:  func(context.Context, exchange.Message) (exchange.Outcome, error) { return exchange.Outcome{}, silent },
					query:   func(context.Context, uuid.UUID) (exchange.Outcome, error) { return c.query, c.asked },
					reverse: func(context.Context, uuid.UUID) error { return c.reverse },
				}
				s := w.service(mute)
				req := w.purchase(w.resident(exchange.KindEmployee), pharmacyDesk)
				done, err := s.Submit(t.Context(), actor(pharmacyDesk), req)
				require.NoError(t, err)
				require.Equal(t, exchange.StateUnknown, done.State)
				err = s.Recover(t.Context())
				done, found := s.Transaction(t.Context(), req.ID)
				require.NoError(t, found)
				require.Equal(t, c.want, done.State)
				require.Equal(t, c.want.Open(), err != nil, "%v", err)
				require.NoError(t, w.service(nil).Recover(t.Context()), "the next round ends it")
			})
		}
	})
}

// TestRun lets recovery run by itself: one back end's transaction that always
// fails keeps no other waiting, and Run ends with its context.
func TestRun(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		person := w.resident(exchange.KindEmployee)
		broken := uuid.Nil
		c := w.config(stub{Backend: w.insurance,
			submit: func(ctx context.Context, m exchange.Message) (exchange.Outcome, error) {
				_, err := w.insurance.Submit(ctx, m)
				return exchange.Outcome{}, errors.Join(err, errors.New("the answer is lost"))
			},
			reverse: func(ctx context.Context, id uuid.UUID) error {
				if id == broken {
					return errors.New("always fails")
				}
				return w.insurance.Reverse(ctx, id)
			}})
		c.Interval, c.MaxDelay = time.Millisecond, 2*time.Millisecond
		s := w.serve(c)
		var ids []uuid.UUID
		for range 4 {
			req := w.purchase(person, pharmacyDesk)
			done, err := s.Submit(t.Context(), actor(pharmacyDesk), req)
			require.NoError(t, err)
			require.Equal(t, exchange.StateUnknown, done.State)
			ids = append(ids, req.ID)
		}
		broken = ids[0]
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			s.Run(ctx)
			close(ended)
		}()
		for _, id := range ids[1:] {
			require.Eventually(t, func() bool {
				done, err := s.Transaction(t.Context(), id)
				return err == nil && done.State == exchange.StateReversed
			}, 20*time.Second, 2*time.Millisecond)
		}
		stop()
		<-ended
		require.EqualValues(t, 199_000, w.balance(person), "the one that fails is still booked")
		require.Error(t, s.Recover(t.Context()))
		require.NoError(t, w.service(nil).Recover(t.Context()))
		require.EqualValues(t, 200_000, w.balance(person))
	})
}

func TestReceipt(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.service(nil)
		req := w.purchase(w.resident(exchange.KindEmployee), pharmacyDesk)
		req.ID = uuid.MustParse("0193a000-0000-7000-8000-000000000001")
		done, err := s.Submit(t.Context(), actor(pharmacyDesk), req)
		require.NoError(t, err)
		require.Equal(t, []string{
			"社会保障卡交易凭条",
			"机构：示例药店",
			"终端：desk-pharmacy",
			"业务：药店购药",
			"业务日期：2026-03-02",
			"终端序号：1",
			"交易时间：2026-03-02 09:00:00",
			"交易标识：0193a000-0000-7000-8000-000000000001",
			"卡号：*****0001",
			"险种：职工基本医疗保险",
			"状态：已确认",
			"总金额（元）：12.50",
			"统筹基金支付（元）：0.00",
			"个人账户支付（元）：10.00",
			"现金支付（元）：2.50",
			"个人账户余额（元）：1990.00",
			"费用明细（元）",
			"阿莫西林胶囊（甲类）：10.00",
			"维生素软糖（自费）：2.50",
			"支付说明（元）",
			"个人账户支付：“阿莫西林胶囊”10.00：10.00",
			"现金支付：“维生素软糖”2.50，不在个人账户支付范围：2.50",
			"请妥善保管，如有疑问请向本机构或参保地经办机构查询",
		}, s.Receipt(done).Print())

		declined, err := s.Submit(t.Context(), actor(pharmacyDesk), w.purchase(w.resident(exchange.KindResident), pharmacyDesk))
		require.NoError(t, err)
		text := strings.Join(s.Receipt(declined).Print(), "\n")
		require.Contains(t, text, "状态：已拒绝")
		require.Contains(t, text, "原因：该险种没有个人账户")
		require.NotContains(t, text, "个人账户支付（元）")

		blocked, err := s.Reverse(t.Context(), actor(pharmacyDesk), uuid.New(), "未到")
		require.NoError(t, err)
		text = strings.Join(s.Receipt(blocked).Print(), "\n")
		require.Contains(t, text, "已拦截")
		require.NotContains(t, text, "总金额")
	})
}
