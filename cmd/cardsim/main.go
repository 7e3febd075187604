// Command cardsim is virtual social security cards behind the real PC/SC
// service: it speaks the protocol of the virtual smart card reader (vpcd), so
// that any PC/SC program finds the cards in ordinary readers. It is for trials,
// training and tests; nothing in the product knows it.
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
	Serve   serveCommand   `cmd:"" help:"Put virtual readers' cards behind the PC/SC service. 启动虚拟卡。"`
	Insert  insertCommand  `cmd:"" help:"Insert a card into a slot. 插卡。"`
	Remove  removeCommand  `cmd:"" help:"Take the card out of a slot. 拔卡。"`
	Tear    tearCommand    `cmd:"" help:"Take the card out at its n-th next command. 在第 n 条命令时断电。"`
	List    listCommand    `cmd:"" help:"What is in the slots. 查看卡槽。"`
	Blank   blankCommand   `cmd:"" help:"Make a maker's blank. 制作空白卡。"`
	PSAM    psamCommand    `cmd:"" name:"psam" help:"Make a terminal's security module. 制作 PSAM 卡。"`
	Bank    bankCommand    `cmd:"" help:"Make a bank card: a foreign chip. 制作银行卡（外来卡）。"`
	Foreign foreignCommand `cmd:"" help:"Make a chip of an unknown kind. 制作未知卡型。"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c commands
	parser := kong.Parse(&c, kong.Name("cardsim"), kong.Description("虚拟社会保障卡 virtual social security cards"), kong.BindTo(ctx, (*context.Context)(nil)))
	if err := parser.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "cardsim:", err)
		os.Exit(1)
	}
}
