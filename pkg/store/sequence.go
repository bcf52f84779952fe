package store

import "fmt"

// Sequence checks that items are what [Store.Export] gives: in order, and true of each other. The zero value is ready.
type Sequence struct {
	head  *Head
	last  int64               // the last revision
	count int                 // of revisions
	tops  map[ObjectKey]int64 // the last revision of each object, negative if it is a delete
	lives int
	key   string // the last live object or idempotency key
	stage int    // 0 head, 1 revisions, 2 live, 3 keys
}

// Add takes the next item. Its errors are ErrCorrupt.
func (s *Sequence) Add(i Item) error {
	switch {
	case s.head == nil && i.Head == nil:
		return misplaced("it does not begin with a head")
	case i.Head != nil && s.head != nil:
		return misplaced("it has two heads")
	case i.Head != nil:
		s.head, s.tops = i.Head, map[ObjectKey]int64{}
		if i.Head.Revision < 0 {
			return misplaced("its last revision is %d", i.Head.Revision)
		}
		return nil
	case i.Revision != nil:
		return s.addRevision(i)
	case i.Live != nil:
		return s.addLive(i.Live)
	case i.Used != nil:
		return s.addUsed(i.Used)
	}
	return misplaced("an item is empty")
}

// to moves on to a stage, never back.
func (s *Sequence) to(stage int) error {
	if stage < s.stage {
		return misplaced("its items are out of order")
	}
	if stage > s.stage {
		s.stage, s.key = stage, ""
	}
	return nil
}

func (s *Sequence) addRevision(i Item) error {
	r := i.Revision
	n, key := r.GetRevision(), KeyOfRevision(r)
	if n <= s.last || n > s.head.Revision {
		return misplaced("revision %d follows %d, and the last is %d", n, s.last, s.head.Revision)
	}
	w := Write{Key: key, After: r.GetAfter(), Expect: AnyRevision}
	if err := w.validate(); err != nil {
		return misplaced("revision %d: %v", n, err)
	}
	s.last, s.tops[key] = n, n
	s.count++
	if r.GetAfter() == nil {
		s.tops[key] = -n
	}
	return s.to(1)
}

func (s *Sequence) addLive(l *Live) error {
	if err := s.to(2); err != nil {
		return err
	}
	at := l.Key.Kind + "\x00" + l.Key.Name
	if at <= s.key {
		return misplaced("its live objects are out of order")
	}
	if l.Revision < 1 || s.tops[l.Key] != l.Revision {
		return misplaced("revision %d is not what is live of %s %s", l.Revision, l.Key.Kind, l.Key.Name)
	}
	s.key = at
	s.lives++
	return nil
}

func (s *Sequence) addUsed(u *Used) error {
	if err := s.to(3); err != nil {
		return err
	}
	if u.Key <= s.key || len(u.Key) > MaxKeyBytes {
		return misplaced("its idempotency keys are out of order")
	}
	if u.First < 1 || u.Count < 1 || u.Count > s.head.Revision || u.First > s.head.Revision-u.Count+1 {
		return misplaced("an idempotency key is of revisions %d to %d", u.First, u.First+u.Count-1)
	}
	s.key = u.Key
	return nil
}

// End is called after the last item. Its errors are ErrCorrupt.
func (s *Sequence) End() error {
	if s.head == nil {
		return misplaced("it is empty")
	}
	return nil
}

// Trimmed says whether revisions are missing from the global sequence.
func (s *Sequence) Trimmed() bool { return int64(s.count) != s.head.Revision }

// Counts returns how many revisions and live objects there were.
func (s *Sequence) Counts() (revisions, live int) { return s.count, s.lives }

// Last returns the last revision of the global sequence.
func (s *Sequence) Last() int64 { return s.head.Revision }

func misplaced(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}
