# The baseline of an installed server: 48 checks, run as root in the booted
# system. Each prints "ID ok" or "ID FAIL reason"; what can only be seen from
# outside is checked by baseline_test.go.
set -u
export LC_ALL=C PATH=/usr/sbin:/usr/bin
sshd=$(sshd -T -C user=root,host=x,addr=192.0.2.1)

bad=
no() { bad="$bad; $*"; }
begin() { bad=; }
end() { if [ -z "$bad" ]; then echo "$1 ok"; else echo "$1 FAIL${bad#;}"; fi; }
ssh_is() { # option and pattern of what it may be
	v=$(printf '%s\n' "$sshd" | sed -n "s/^$1 //p" | head -n 1)
	printf '%s\n' "$v" | grep -Eqx "$2" || no "sshd $1 is '$v'"
}
sysctl_is() {
	v=$(cat "/proc/sys/$(echo "$1" | tr . /)" 2>/dev/null)
	printf '%s\n' "$v" | grep -Eqx "$2" || no "$1 is '$v'"
}
mount_has() { # folder, options
	for o in $2; do findmnt -no OPTIONS -M "$1" | tr , '\n' | grep -qx "$o" || no "$1 without $o"; done
}
cmdline_has() { for w in "$@"; do tr ' ' '\n' </proc/cmdline | grep -Eqx "$w" || no "command line without $w"; done; }
active() { for u in "$@"; do [ "$(systemctl is-active "$u")" = active ] || no "$u is $(systemctl is-active "$u")"; done; }

# Accounts and SSH
begin; ssh_is permitrootlogin 'no|prohibit-password|without-password'; end H01
begin; ssh_is passwordauthentication no; ssh_is kbdinteractiveauthentication no; end H02
begin; ssh_is permitemptypasswords no; end H03
begin; v=$(awk -F: '$2 == "" {print $1}' /etc/shadow); [ -z "$v" ] || no "no password: $v"; end H04
begin; v=$(awk -F: '$3 == 0 && $1 != "root" {print $1}' /etc/passwd); [ -z "$v" ] || no "uid 0: $v"; end H05
begin
for u in $(awk -F: '$3 < 1000 && $1 != "root" {print $1}' /etc/passwd); do
	h=$(awk -F: -v u="$u" '$1 == u {print $2}' /etc/shadow)
	case $h in [!*]*) case $h in '!'*) ;; *) no "$u has a password" ;; esac ;; esac
done
v=$(awk -F: '$3 < 1000 && $1 != "root" && $1 != "postgres" && $7 !~ /(nologin|false)$/ {print $1}' /etc/passwd | tr '\n' ' ')
[ -z "$v" ] || no "a shell: $v"
end H06
begin
for o in x11forwarding allowtcpforwarding allowagentforwarding permituserenvironment hostbasedauthentication; do ssh_is $o no; done
ssh_is ignorerhosts yes; ssh_is gssapiauthentication 'no|'; ssh_is kerberosauthentication 'no|'
end H07
begin
ssh_is logingracetime '[1-5]?[0-9]|60'; ssh_is maxauthtries '[1-4]'; ssh_is maxstartups 10:30:60; ssh_is maxsessions '[1-9]|10'
ssh_is clientaliveinterval '[1-9][0-9]*'; ssh_is clientalivecountmax '[1-9][0-9]*'; ssh_is loglevel 'VERBOSE|INFO'
end H08
begin
printf '%s\n' "$sshd" | grep -E '^ciphers .*cbc' && no "a CBC cipher"
printf '%s\n' "$sshd" | grep -E '^macs .*(hmac-sha1|md5|umac-64)' && no "a weak MAC"
printf '%s\n' "$sshd" | grep -E '^kexalgorithms .*(group14-sha1|group1-sha1|group-exchange-sha1)' && no "a key exchange with SHA-1"
printf '%s\n' "$sshd" | grep -Eq '^kexalgorithms (sntrup761x25519|mlkem768x25519)' || no "no post-quantum key exchange first"
end H09
begin
for f in /etc/ssh/ssh_host_*_key; do [ "$(stat -c '%a %U' "$f")" = '600 root' ] || no "$f is $(stat -c '%a %U' "$f")"; done
grep -rIq 'BEGIN OPENSSH PRIVATE' /usr 2>/dev/null && no "a key in /usr"
end H10
begin; [ "$(stat -c '%a %U:%G' /etc/ssh/sshd_config)" = '600 root:root' ] || no "sshd_config is $(stat -c '%a %U:%G' /etc/ssh/sshd_config)"; end H11
begin
v=$(bash -lc umask); case $v in 0027|0077) ;; *) no "umask of login shells $v" ;; esac
v=$(systemctl show -p UMask --value chronyd); case $v in 0027|0077|0022) ;; *) no "umask of services $v" ;; esac
grep -Eqx 'UMASK[[:space:]]+0[27]7' /etc/login.defs || no "UMASK of login.defs"
end H12
begin
grep -Eqi '^ENCRYPT_METHOD[[:space:]]+(SHA512|YESCRYPT)' /etc/login.defs || no "ENCRYPT_METHOD"
grep -rEq 'pam_unix.so.*(sha512|yescrypt)' /etc/pam.d || no "pam_unix without sha512"
grep -rq pam_faillock.so /etc/pam.d || no "no pam_faillock"
grep -rEq 'pam_faillock.so .*deny=[1-5]( |$)' /etc/pam.d || no "faillock deny"
end H13
begin
cat /etc/sudoers /etc/sudoers.d/* >/run/sudoers.all 2>/dev/null
grep -Eq '^Defaults.*use_pty' /run/sudoers.all || no "no use_pty"
grep -Eq '^Defaults.*logfile' /run/sudoers.all || no "no logfile"
grep -Ev '^#' /run/sudoers.all | grep -q NOPASSWD && no NOPASSWD
rm -f /run/sudoers.all
grep -Eq '^auth[[:space:]]+(required|requisite)[[:space:]]+pam_wheel.so' /etc/pam.d/su || no "su not limited to wheel"
end H14

# Kernel
begin; sysctl_is kernel.kptr_restrict '1|2'; end H15
begin; sysctl_is kernel.dmesg_restrict 1; end H16
begin; sysctl_is kernel.unprivileged_bpf_disabled '1|2'; end H17
begin; sysctl_is net.core.bpf_jit_harden 2; end H18
begin; sysctl_is kernel.yama.ptrace_scope '[1-3]'; end H19
begin; sysctl_is kernel.perf_event_paranoid '[2-9]'; end H20
begin; sysctl_is kernel.kexec_load_disabled 1; end H21
begin; sysctl_is kernel.randomize_va_space 2; end H22
begin; sysctl_is kernel.sysrq '0|16'; end H23
begin
sysctl_is fs.protected_symlinks 1; sysctl_is fs.protected_hardlinks 1; sysctl_is fs.protected_fifos 2; sysctl_is fs.protected_regular 2
end H24
begin; sysctl_is fs.suid_dumpable 0; sysctl_is kernel.core_pattern '[|]/(usr/)?bin/false'; [ "$(bash -lc 'ulimit -c')" = 0 ] || no "ulimit -c"; end H25
begin; sysctl_is vm.mmap_min_addr '65536'; end H26
begin
for c in all default; do
	for k in accept_redirects secure_redirects send_redirects accept_source_route; do sysctl_is net.ipv4.conf.$c.$k 0; done
	sysctl_is net.ipv4.conf.$c.rp_filter 1; sysctl_is net.ipv4.conf.$c.log_martians 1
	sysctl_is net.ipv6.conf.$c.accept_ra 0; sysctl_is net.ipv6.conf.$c.accept_redirects 0; sysctl_is net.ipv6.conf.$c.accept_source_route 0
done
sysctl_is net.ipv4.icmp_echo_ignore_broadcasts 1; sysctl_is net.ipv4.icmp_ignore_bogus_error_responses 1
sysctl_is net.ipv4.tcp_syncookies 1; sysctl_is net.ipv4.ip_forward 0
end H27
begin
cmdline_has 'init_on_(alloc|free)=1' slab_nomerge page_alloc.shuffle=1 vsyscall=none audit=1 audit_backlog_limit=8192
grep -q 'mitigations=off\|nopti' /proc/cmdline && no "mitigations are off"
end H28
begin
if [ -d /sys/firmware/efi ] && [ "$(od -An -tu1 -j4 -N1 /sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c 2>/dev/null | tr -d ' ')" = 1 ]; then
	grep -Eq '\[(integrity|confidentiality)\]' /sys/kernel/security/lockdown || no "no lockdown with Secure Boot"
else
	grep -q integrity /sys/kernel/security/lockdown || no "this kernel has no lockdown"
fi
end H29
begin
m=$(find /usr/lib/modules/"$(uname -r)" -name 'dummy.ko*' | head -n 1)
if [ -z "$m" ]; then
	[ "$(cat /proc/sys/kernel/modules_disabled)" = 1 ] || no "no module dummy to try with"
else
	# its signature stands at the end; a byte less, and it has none
	rmmod dummy 2>/dev/null
	n=$(stat -c %s "$m"); head -c $((n - 1)) "$m" >/run/unsigned.ko
	insmod /run/unsigned.ko 2>/dev/null && { no "an unsigned module was loaded"; rmmod dummy; }
	modprobe dummy 2>/dev/null || no "a signed module was refused"; rmmod dummy 2>/dev/null
	rm -f /run/unsigned.ko
fi
end H30
begin
for m in cramfs freevxfs hfs hfsplus jffs2 udf usb-storage dccp sctp rds tipc firewire-core; do
	modprobe -n -v "$m" 2>&1 | grep -Eq 'install (/usr)?/bin/(false|true)|not found' || no "$m can be loaded"
done
end H31
begin
if [ ! -e /proc/config.gz ]; then modprobe configs 2>/dev/null; fi
c=/proc/config.gz; [ -e $c ] || c=/usr/lib/modules/$(uname -r)/config
case $c in *.gz) zcat $c ;; *) cat "$c" ;; esac >/run/config 2>/dev/null
for o in STACKPROTECTOR_STRONG FORTIFY_SOURCE STRICT_KERNEL_RWX HARDENED_USERCOPY RANDOMIZE_BASE VMAP_STACK SECCOMP BPF_LSM; do
	grep -qx "CONFIG_$o=y" /run/config || no "kernel without $o"
done
grep -q '^CONFIG_LSM=.*bpf' /run/config || no "CONFIG_LSM without bpf"
rm -f /run/config
end H32

# File systems and boot
begin; for d in /tmp /var/tmp /dev/shm; do mount_has $d 'nodev nosuid noexec'; done; end H33
begin; mount_has /home 'nodev nosuid'; end H34
begin
for d in /boot /boot/efi /efi; do
	[ ! -d $d ] || case $(stat -c %a $d) in 700) ;; *) [ -z "$(ls -A $d)" ] || no "$d is $(stat -c %a $d)" ;; esac
done
end H35
begin; findmnt -no OPTIONS /proc | grep -Eq 'hidepid=(2|invisible)' || no "/proc shows all processes"; end H36
begin
v=$(find / -xdev -type f -perm -0002 ! -path '/proc/*' ! -path '/sys/*' 2>/dev/null | head -n 3); [ -z "$v" ] || no "anybody may write $v"
v=$(find / -xdev -type d -perm -0002 ! -perm -1000 2>/dev/null | head -n 3); [ -z "$v" ] || no "anybody may write in $v"
v=$(find / -xdev \( -nouser -o -nogroup \) 2>/dev/null | head -n 3); [ -z "$v" ] || no "without owner: $v"
find / -xdev -type f -perm /6000 2>/dev/null | sort >/run/setuid
v=$(comm -23 /run/setuid /run/setuid-allowed | tr '\n' ' '); [ -z "$v" ] || no "not on the list of setuid programs: $v"
end H37
begin; [ "$(od -An -tu1 -j4 /sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c 2>/dev/null | tr -d ' ')" = 1 ] || no "the firmware did not check what it started"; end H38
begin
f=$(ls /boot/grub/grub.cfg /run/ashlar/medium/boot/grub/grub.cfg 2>/dev/null | head -n 1)
[ -n "$f" ] && grep -Eq '^(set superusers=|password_pbkdf2 )' "$f" || no "the boot menu can be edited by anybody"
end H39
begin; pkgtool verify >/run/verify 2>&1 || no "pkgtool verify: $(tail -n 2 /run/verify | tr '\n' ' ')"; rm -f /run/verify; end H40
begin
for u in emergency rescue; do systemctl cat $u.service | grep -q '^ExecStart=.*sulogin' || no "$u.service without sulogin"; done
systemctl show-environment | grep -q SYSTEMD_SULOGIN_FORCE && no "sulogin is forced"
end H41

# Services
begin
v=$(ss -Hlntu | awk '$5 !~ /^(127\.|\[::1\])/ {print $1, $5}' | grep -Ev '^tcp (0\.0\.0\.0|\[::\]|\*):22$|^udp [^ ]*:(68|546)$|^udp 127' | tr '\n' ' ')
[ -z "$v" ] || no "listens: $v"
end H42
begin
iptables -S INPUT | grep -qx -- '-P INPUT DROP' || no "IPv4 is not dropped"
ip6tables -S INPUT | grep -qx -- '-P INPUT DROP' || no "IPv6 is not dropped"
active firewall
systemctl show -p Before --value firewall | grep -q network-pre.target || no "the firewall may come after the network"
end H43
begin
active auditd; auditctl -s | grep -qx 'enabled 2' || no "rules can be changed"
v=$(auditctl -l)
for w in /etc/passwd /etc/shadow adjtime mount init_module sudo; do printf '%s\n' "$v" | grep -q -- "$w" || no "no rule for $w"; done
end H44
begin
grep -rqx 'Storage=persistent' /usr/lib/systemd/journald.conf.d /etc/systemd/journald.conf.d 2>/dev/null || no "not persistent"
grep -rq '^SystemMaxUse=' /usr/lib/systemd/journald.conf.d /etc/systemd/journald.conf.d 2>/dev/null || no "no limit"
[ -d /var/log/journal/"$(cat /etc/machine-id)" ] || no "nothing in /var/log/journal"
end H45
begin; active chronyd; chronyd -v | grep -q '+NTS' || no "no authenticated sources (NTS)"; grep -q '^ntsdumpdir ' /etc/chrony.conf || no "NTS is not set up"; end H46
begin
case $(cat /sys/kernel/security/lsm) in *apparmor*|*selinux*) ;; *) no "no LSM with policies: $(cat /sys/kernel/security/lsm)" ;; esac
[ -d /sys/kernel/security/apparmor ] && { [ "$(grep -c enforce /sys/kernel/security/apparmor/profiles)" -ge 3 ] || no "fewer than 3 profiles enforced"; }
for u in sshd chronyd auditd firewall dbus systemd-networkd systemd-resolved systemd-logind; do
	v=$(systemd-analyze security --no-pager $u.service 2>/dev/null | sed -n 's/.*exposure level for .*: \([0-9.]*\) .*/\1/p')
	awk -v v="${v:-10}" 'BEGIN {exit !(v <= 5.0)}' || no "$u exposure $v"
done
end H47
begin
systemctl is-enabled update.timer >/dev/null || no "no automatic updates"
grep -rqs 'verify: *false\|insecure' /etc/pkgtool && no "a repository without signatures"
v=$(awk -F: '$2 ~ /^\$/ {print $1}' /etc/shadow | tr '\n' ' '); [ -z "$v" ] || no "a password from the image: $v"
for p in gcc cc gdb clang make; do command -v $p >/dev/null && no "$p is in the image"; done
[ -s /var/lib/ashlar/image/sbom.spdx.json ] || [ -s /run/ashlar/medium/about/sbom.spdx.json ] || no "no bill of materials"
end H48
