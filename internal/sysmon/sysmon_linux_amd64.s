#include "textflag.h"

// onSignal is called by the kernel on the monitor's thread, with its own stack and nothing of Go's: it sets the thread's
// timer slack and reads it. What it does to registers is undone when it returns.
TEXT onSignal<>(SB), NOSPLIT|NOFRAME, $0
	MOVQ	$157, AX	// prctl
	MOVQ	$29, DI		// PR_SET_TIMERSLACK
	MOVQ	·wanted(SB), SI
	XORL	DX, DX
	XORL	R10, R10
	XORL	R8, R8
	SYSCALL
	MOVQ	$157, AX	// prctl
	MOVQ	$30, DI		// PR_GET_TIMERSLACK
	XORL	SI, SI
	SYSCALL
	MOVQ	AX, ·found(SB)
	MOVL	$1, ·handled(SB)
	RET

// restore is where onSignal returns to: the interrupted code goes on.
TEXT restore<>(SB), NOSPLIT|NOFRAME, $0
	MOVQ	$15, AX		// rt_sigreturn
	SYSCALL
	INT	$3

GLOBL	·handlerAddr(SB), RODATA, $8
DATA	·handlerAddr(SB)/8, $onSignal<>(SB)
GLOBL	·restorerAddr(SB), RODATA, $8
DATA	·restorerAddr(SB)/8, $restore<>(SB)
