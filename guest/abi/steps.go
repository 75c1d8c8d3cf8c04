package abi

import "encoding/binary"

// Steps are system calls that a guest makes for its host before its job, each in turn. Numbers and
// arguments are the host's affair. An encoding is a table of steps, a table of pointers, and the
// memory that both point into:
//
//	u32 number of pointers
//	n steps of StepLen bytes: number u64, six arguments u64, six kinds of argument u8, u16 0
//	pointers of 8 bytes: the address of memory[to u32] belongs to memory[at u32]
//	memory
type Steps struct {
	steps  []byte
	refs   []byte
	memory []byte
	n      int
}

// StepLen is the size of an encoded step in bytes, RefLen that of a pointer.
const (
	StepLen = 64
	RefLen  = 8
)

// The kinds of arguments.
const (
	ArgValue  = iota // the value itself
	ArgMemory        // the address of that offset in the memory
	ArgResult        // the result of that step
)

// Arg is an argument of a step.
type Arg struct {
	Value uint64
	Kind  byte
}

// Len returns the number of steps.
func (s *Steps) Len() int { return s.n }

// Add adds a system call and returns its index, for ResultOf.
func (s *Steps) Add(nr uint64, args ...Arg) int {
	var b [StepLen]byte
	binary.LittleEndian.PutUint64(b[:], nr)
	for i, a := range args {
		binary.LittleEndian.PutUint64(b[8+8*i:], a.Value)
		b[56+i] = a.Kind
	}
	s.steps = append(s.steps, b[:]...)
	s.n++
	return s.n - 1
}

// Value returns an argument that is a number.
func Value(v uint64) Arg { return Arg{Value: v} }

// ResultOf returns an argument that is the result of an earlier step.
func ResultOf(step int) Arg { return Arg{uint64(step), ArgResult} }

// Bytes puts b into the memory, aligned to 8 bytes, and returns its address as an argument.
func (s *Steps) Bytes(b []byte) Arg {
	for len(s.memory)%8 != 0 {
		s.memory = append(s.memory, 0)
	}
	at := len(s.memory)
	s.memory = append(s.memory, b...)
	return Arg{uint64(at), ArgMemory}
}

// String is Bytes for a string of C.
func (s *Steps) String(v string) Arg { return s.Bytes(append([]byte(v), 0)) }

// Point has the 8 bytes at offset off of what Bytes returned as at become the address of to.
func (s *Steps) Point(at Arg, off uint64, to Arg) {
	var b [RefLen]byte
	binary.LittleEndian.PutUint32(b[:], uint32(at.Value+off))
	binary.LittleEndian.PutUint32(b[4:], uint32(to.Value))
	s.refs = append(s.refs, b[:]...)
}

// Encode returns the payload of a MsgSteps.
func (s *Steps) Encode() []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(s.refs)/RefLen))
	return append(append(append(b, s.steps...), s.refs...), s.memory...)
}
