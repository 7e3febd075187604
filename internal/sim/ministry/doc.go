// Package ministry stands in for the ministry's base of card holders
// (部级持卡库), whose interface is not public: it keeps what provinces tell it of
// their cards, by versions, and can be slow, away, silent, or talk nonsense. It
// has its own reading of the messages, so that it can contradict the province's.
package ministry
