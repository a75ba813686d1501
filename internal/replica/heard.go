package replica

// lastHeard is when the session last renewed itself. A client that the server does not
// listen to for reasons of its own has done so now.
func (s *Session) lastHeard(now int64) int64 {
	if s.client != nil && s.client.unheard() {
		return now
	}
	return s.heard.Load()
}

// unheard reports whether what the client sends is left where it is because the server
// has still to carry out what it asked for before.
func (c *Client) unheard() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.busy
}
