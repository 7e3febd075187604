package registry

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"gorm.io/gorm/logger"
)

// slowQuery is the duration from which a statement is logged.
const slowQuery = 500 * time.Millisecond

// longest is how much of a statement is logged: one for thousands of rows has as
// many placeholders.
const longest = 500

// queryLog is gorm's slog logger without values: statements are logged with
// their placeholders. Refusals that the callers expect (a row that is not
// there, a second row, a lost race) are no errors of the program and are not
// logged as such.
type queryLog struct{ logger.Interface }

func newQueryLog(log *slog.Logger) queryLog {
	return queryLog{logger.NewSlogLogger(log, logger.Config{
		SlowThreshold:             slowQuery,
		LogLevel:                  logger.Warn,
		ParameterizedQueries:      true,
		IgnoreRecordNotFoundError: true,
	})}
}

// LogMode implements logger.Interface.
func (l queryLog) LogMode(level logger.LogLevel) logger.Interface {
	return queryLog{l.Interface.LogMode(level)}
}

// ParamsFilter implements gorm.ParamsFilter: values stay out.
func (queryLog) ParamsFilter(_ context.Context, sql string, _ ...any) (string, []any) {
	return sql, nil
}

// Trace implements logger.Interface.
func (l queryLog) Trace(ctx context.Context, begin time.Time, statement func() (string, int64), err error) {
	for _, expected := range []error{ErrNotFound, ErrDuplicate, ErrConflict, ErrBusy, context.Canceled} {
		if errors.Is(err, expected) {
			err = nil
		}
	}
	if err == nil && time.Since(begin) <= slowQuery {
		return // gorm would write out each statement that nobody is to read
	}
	l.Interface.Trace(ctx, begin, func() (string, int64) {
		sql, rows := statement()
		if len(sql) > longest {
			sql = strings.ToValidUTF8(sql[:longest], "") + " …"
		}
		return sql, rows
	}, err)
}
