// Package desk serves the counter's page on the workstation's own loopback
// address (柜台页面): sign-in, residents and applications, the reader and its
// card live, personalisation with progress, reading, and settling a visit.
//
// The page talks to this program only. What concerns the province is passed
// on over the workstation's connection with the operator's token, which stays
// here: the browser holds a cookie that is good for this program alone. Only
// requests for a loopback name and from the page's own origin are answered.
package desk
