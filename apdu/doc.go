// Package apdu speaks ISO/IEC 7816-4 to a chip: command and response APDUs
// (命令与应答), the table of status words (状态字), BER-TLV, and transcripts.
//
// A Transmitter moves raw bytes. A Channel stands on one and is the only place
// that fetches a waiting response (61xx), repeats a command with the right
// length (6Cxx) and chains a long one, so that nothing above it knows of T=0.
// A Recorder writes what passes, masked; a Replayer plays a transcript back.
//
// A transcript (报文记录) is text of one line for each message. White space
// between bytes and empty lines mean nothing; a command that no response
// follows was not answered. A line of the answer to reset, with time and
// reader where known, begins a connection; = says how long an exchange took.
//
//	# a comment; here a challenge, then a PIN of three bytes, masked
//	@ 3B6D000000814E432386971599........ 2026-11-23T09:30:00+08:00 Reader 1
//	> 00840000 08
//	< 0102030405060708 9000
//	= 1.5ms
//	> 00200000 03 ......
//	< 9000
//
// The package knows nothing of social security cards.
package apdu
