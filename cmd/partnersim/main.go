// Command partnersim is the partners that no machine here has, each by its true
// protocol: a card maker. It is for trials and tests; nothing in the product
// knows it.
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
	Maker makerCommands `cmd:"" help:"A card maker. 卡商模拟器。"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parser := kong.Parse(&commands{}, kong.Name("partnersim"), kong.Description("模拟合作单位 simulated partners"), kong.BindTo(ctx, (*context.Context)(nil)))
	if err := parser.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "partnersim:", err)
		os.Exit(1)
	}
}
