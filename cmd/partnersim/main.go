// Command partnersim stands in for the province's partners, which no trial and no
// test has: each speaks the true protocol, keeps what it is told, and can be made
// to fail in the ways that partners do. It is no part of the product.
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
	Ministry ministryCommand `cmd:"" help:"The ministry's base of card holders. 部级持卡库。"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parsed := kong.Parse(&commands{}, kong.Name("partnersim"), kong.Description("合作单位模拟器 stand-ins for the province's partners"),
		kong.BindTo(ctx, (*context.Context)(nil)))
	if err := parsed.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "partnersim:", err)
		stop()
		os.Exit(1)
	}
}
