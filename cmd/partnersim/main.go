// Command partnersim is the partners that no trial has: each speaks its true
// protocol and fails on demand. For trials, training and tests; nothing in the
// product knows it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

type commands struct {
	Bank bankCommand `cmd:"" help:"A bank. 银行。"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parser := kong.Parse(&commands{}, kong.Name("partnersim"), kong.Description("合作单位模拟器 simulated partners"), kong.BindTo(ctx, (*context.Context)(nil)))
	if err := parser.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "partnersim:", err)
		os.Exit(1)
	}
}
