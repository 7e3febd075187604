// Package pcsc reaches chips through the machine's PC/SC service (读卡服务): it
// watches readers, connects to cards and tells the ways in which that fails
// apart. It is the only user of the PC/SC library and needs cgo and
// libpcsclite.
//
// One Watch per program reports readers and cards as they come and go, and
// finds the service again after it was away. Connect opens one card for this
// program alone (a shared connection with a transaction, so that another
// program waits instead of failing). A Card is an apdu.Transmitter; closing it
// resets the chip, so that no right that was gained stays behind.
//
// Calls of the library can block without limit. Each therefore runs in a
// goroutine of its card, and a caller whose context ends is let go; the card
// is then closed as soon as the call comes back.
//
// The environment variable PCSCLITE_CSOCK_NAME names another socket of the
// service than the usual one.
package pcsc
