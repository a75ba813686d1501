package session

// Negotiate returns the timeout in milliseconds that a client gets when it asks
// for requested: the nearest one within [lowest, highest]. Zero and negative
// requests get lowest. Should lowest be above highest, as a careless
// configuration may have it, highest decides.
func Negotiate(requested, lowest, highest int32) int32 {
	return min(max(requested, lowest), highest)
}
