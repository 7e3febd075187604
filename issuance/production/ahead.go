package production

import "context"

// ahead runs next again and again in a goroutine of its own, one result ahead of
// take, until next returns nothing or either fails: while one part of the rows is
// written the next one is computed.
func ahead[T any](ctx context.Context, next func(context.Context) ([]T, error), take func([]T) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	type part struct {
		rows []T
		err  error
	}
	parts := make(chan part, 1)
	go func() {
		defer close(parts)
		for {
			rows, err := next(ctx)
			select {
			case parts <- part{rows, err}:
			case <-ctx.Done():
				return
			}
			if err != nil || len(rows) == 0 {
				return
			}
		}
	}()
	for p := range parts {
		if p.err != nil {
			return p.err
		}
		if len(p.rows) == 0 {
			return nil
		}
		if err := take(p.rows); err != nil {
			return err
		}
	}
	return ctx.Err()
}
