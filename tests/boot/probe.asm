# The guest of ProbeKVM: a boot sector that goes from real mode to 64-bit mode
# with paging, adds up memory it wrote, and ends QEMU with 0x2a on port 0xf4.
# Assembled with: as -o probe.o probe.asm && ld -Ttext 0x7c00 --oformat binary -e start -o probe.bin probe.o
	.code16
	.globl start
start:
	cli
	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw $0x7c00, %sp
	# page tables at 0x1000 (PML4), 0x2000 (PDPT), 0x3000 (PD): 2 MiB identity
	movw $0x1000, %di
	movw $0x1800, %cx
	cld
	rep stosw
	movw $0x2003, 0x1000
	movw $0x3003, 0x2000
	movw $0x0083, 0x3000
	movl %cr4, %eax
	orl $0x20, %eax			# PAE
	movl %eax, %cr4
	movl $0x1000, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx		# EFER.LME
	rdmsr
	orl $0x100, %eax
	wrmsr
	lgdt gdtr
	movl %cr0, %eax
	orl $0x80000001, %eax
	movl %eax, %cr0
	ljmp $8, $long
	.code64
long:
	movl $16, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl $0x10000, %edi
	movl $1000, %ecx
1:	movq %rcx, (%rdi,%rcx,8)
	loop 1b
	movl $1000, %ecx
	xorl %eax, %eax
2:	addq (%rdi,%rcx,8), %rax
	loop 2b
	cmpl $500500, %eax
	jne 3f
	movb $0x2a, %al
	outb %al, $0xf4
3:	hlt
	jmp 3b
	.balign 8
gdt:	.quad 0
	.quad 0x00209a0000000000	# 64-bit code
	.quad 0x0000920000000000	# data
gdtr:	.word . - gdt - 1
	.long gdt
	.org 510
	.word 0xaa55
