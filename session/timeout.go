package session

// Negotiate returns the timeout in milliseconds that a client gets when it asks
// for requested: the nearest one within [min, max]. Zero and negative requests
// get min. Should min be above max, as a careless configuration may have it,
// max decides.
func Negotiate(requested, min, max int32) int32 {
	if requested < min {
		requested = min
	}
	if requested > max {
		requested = max
	}
	return requested
}
