// Package keystest is the suite that every keeper of keys must pass
// (密钥保管一致性测试): the published vectors, one key one purpose, diversification,
// and the protection of personal data. It is for tests only; the keys in it are
// public.
package keystest
