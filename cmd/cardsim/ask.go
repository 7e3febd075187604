package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"
)

// ask sends one request to a running simulator.
func ask(ctx context.Context, socket string, r request) (answer, error) {
	var a answer
	dialer := net.Dialer{Timeout: controlLimit}
	connection, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return a, fmt.Errorf("control socket %s: is the simulator running? %w", socket, err)
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(controlLimit)); err != nil {
		return a, fmt.Errorf("control socket: %w", err)
	}
	if err := json.NewEncoder(connection).Encode(r); err != nil {
		return a, fmt.Errorf("control socket: %w", err)
	}
	if err := json.NewDecoder(connection).Decode(&a); err != nil {
		return a, fmt.Errorf("control socket: %w", err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// running is a running simulator.
type running struct {
	Control string `required:"" help:"Control socket of the simulator."`
}

// target is the slot of a running simulator.
type target struct {
	running
	Slot int `default:"0" help:"Slot, from 0."`
}

type insertCommand struct {
	target
	Card        string `required:"" help:"Card file."`
	Contactless bool   `help:"Lay it on the reader instead. 非接触式。"`
	As          string `help:"How the chip misbehaves, such as clone, replay, endless-61, keys-newer. 恶意芯片的种类。"`
}

// Run inserts a card.
func (c *insertCommand) Run(ctx context.Context) error {
	file, err := filepath.Abs(c.Card)
	if err != nil {
		return fmt.Errorf("card: %w", err)
	}
	_, err = ask(ctx, c.Control, request{Do: "insert", Slot: c.Slot, Card: file, Contactless: c.Contactless, As: c.As})
	return err
}

type removeCommand struct{ target }

// Run takes a card out.
func (c *removeCommand) Run(ctx context.Context) error {
	_, err := ask(ctx, c.Control, request{Do: "remove", Slot: c.Slot})
	return err
}

type tearCommand struct {
	target
	After int  `required:"" help:"Number of the command whose answer is lost, from 1; with --stay, 0 is now."`
	Stay  bool `help:"The card stays in the reader. 断电而不拔卡。"`
}

// Run lets the power go.
func (c *tearCommand) Run(ctx context.Context) error {
	_, err := ask(ctx, c.Control, request{Do: "tear", Slot: c.Slot, After: c.After, Stay: c.Stay})
	return err
}

type listCommand struct{ running }

// Run lists the slots.
func (c *listCommand) Run(ctx context.Context) error {
	a, err := ask(ctx, c.Control, request{Do: "list"})
	if err != nil {
		return err
	}
	for i, file := range a.Slots {
		fmt.Printf("%d %s\n", i, file)
	}
	return nil
}
