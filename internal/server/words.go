package server

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// wordBytes is the length of a command; it stands where a packet's length
// would.
const wordBytes = 4

// words are the four-letter words and what answers them (server.command in
// ZooKeeper).
var words = map[string]wordHandler{
	"conf": {answer: (*Server).wordConf},
	"cons": {answer: (*Server).wordCons},
	"crst": {answer: (*Server).wordCrst},
	"dirs": {answer: (*Server).wordDirs},
	"dump": {answer: (*Server).wordDump},
	"envi": {answer: (*Server).wordEnvi, always: true},
	"gtmk": {answer: (*Server).wordGtmk, always: true},
	"hash": {answer: (*Server).wordHash},
	"isro": {answer: (*Server).wordIsro, always: true},
	"mntr": {answer: (*Server).wordMntr},
	"ruok": {answer: (*Server).wordRuok, always: true},
	"srst": {answer: (*Server).wordSrst},
	"srvr": {answer: func(s *Server, q *wordQuery) { s.writeSrvr(q, nil) }},
	"stat": {answer: func(s *Server, q *wordQuery) { s.writeSrvr(q, s.writeClients) }},
	"stmk": {answer: (*Server).wordStmk, always: true},
	"wchc": {answer: (*Server).wordWchc},
	"wchp": {answer: (*Server).wordWchp},
	"wchs": {answer: (*Server).wordWchs},
	// What a telnet client sends when it is interrupted.
	"\xff\xf4\xff\xfd": {answer: func(*Server, *wordQuery) {}, always: true},
}

// wordHandler answers a word. Most have nothing to say while no requests are
// served; always marks the others.
type wordHandler struct {
	answer func(*Server, *wordQuery)
	always bool
}

// wordQuery is a word that is being answered: into itself. role is one look at
// this server's part, so that an answer does not contradict itself; arg is what
// followed the word.
type wordQuery struct {
	bytes.Buffer
	role role
	arg  []byte
}

// notServing is what there is to say while there is no leader.
const notServing = "This ZooKeeper instance is not currently serving requests"

// wordOf recognises a command in the first bytes of a connection.
func wordOf(b []byte) (string, bool) {
	if len(b) < wordBytes {
		return "", false
	}
	w := string(b[:wordBytes])
	_, ok := words[w]
	return w, ok
}

// wordAllowed applies the whitelist (4lw.commands.whitelist). srvr is always
// allowed.
func (s *Server) wordAllowed(w string) bool {
	return w == "srvr" || w[0] == 0xff || slices.Contains(s.cfg.Words, "*") || slices.Contains(s.cfg.Words, w)
}

// countWord counts a word as the packet that it is.
func (c *conn) countWord() {
	c.client.Stats.Received.Add(1)
	c.s.rep.Stats.Received.Add(1)
	c.s.rep.Stats.ReceivedBytes.Add(wordBytes)
}

// wordArgBytes is how many bytes follow a word: stmk has a mask. As in ZooKeeper a word
// whose argument has not come with it is not answered, and its connection ends.
func wordArgBytes(w string) int {
	if w == "stmk" {
		return 8
	}
	return 0
}

// answerWord returns a command's answer; arg is what follows it. It may take
// a while: some words look at every connection, or ask the loop.
func (s *Server) answerWord(w string, arg []byte) []byte {
	q := wordQuery{role: s.role(), arg: arg}
	switch h := words[w]; {
	case !s.wordAllowed(w):
		fmt.Fprintf(&q, "%s is not executed because it is not in the whitelist.\n", w)
	case h.always || q.role.open():
		h.answer(s, &q)
	case w == "hash":
		q.WriteString(notServing)
	default:
		q.WriteString(notServing + "\n")
	}
	return q.Bytes()
}

func (s *Server) wordRuok(q *wordQuery) { q.WriteString("imok") }

func (s *Server) wordIsro(q *wordQuery) {
	switch {
	case q.role.serving:
		q.WriteString("rw")
	case q.role.readOnly:
		q.WriteString("ro")
	default:
		q.WriteString("null")
	}
}

func (s *Server) wordCrst(q *wordQuery) {
	s.resetConns()
	q.WriteString("Connection stats reset.\n")
}

func (s *Server) resetConns() {
	for _, c := range s.connList() {
		c.client.Stats.Reset()
	}
}

func (s *Server) wordSrst(q *wordQuery) {
	s.resetStats()
	q.WriteString("Server stats reset.\n")
}

func (s *Server) resetStats() {
	s.rep.Stats.Reset()
	s.stats.reset()
	if e := s.ensemble; e != nil {
		e.Reset()
	}
}

func (s *Server) wordGtmk(q *wordQuery) { fmt.Fprint(q, s.stats.traceMask.Load()) }

// wordStmk sets the trace mask from the eight bytes that follow the word.
func (s *Server) wordStmk(q *wordQuery) {
	s.stats.traceMask.Store(int64(binary.BigEndian.Uint64(q.arg)))
	s.wordGtmk(q)
}

// onLoop runs f on the loop and waits for it. It is false when the server has
// stopped.
func (s *Server) onLoop(f func()) bool {
	done := make(chan struct{})
	if !s.loop.do(func() { f(); close(done) }) {
		return false
	}
	select {
	case <-done:
		return true
	case <-s.stopped:
		return false
	}
}
