// Package trace reads the transcript of what passed between a reader and a chip
// (报文记录) for an engineer: each command by its name, what it was about, its
// fields, and the status word in words.
//
//	conversations, err := apdu.ParseConversations(file)
//	report := trace.Decode(conversations, trace.Options{Profiles: profiles})
//	fmt.Print(report.Text())
//
// The commands are those of ISO/IEC 7816-4, of LD/T 32.5 and PBOC, of the
// terminal's security module (PSAM), of the PKI application and of
// GlobalPlatform. Files, elements and keys are named by the profile of the
// card's specification, which is recognised by the version that the card says
// and by its answer to reset; of an unknown card everything else is decoded.
//
// A field is shown only where the package knows that it is neither a key, a
// PIN, a cryptogram nor personal; everything else is masked, in the fields and
// in the bytes, until Options.Reveal asks for it. What was masked when it was
// recorded is gone for good, and is said to be.
package trace
