#!/bin/sh
# The guest's first program: file systems, swap and what has to be quiet, then the server of requests.
# Options come as damoos.NAME=VALUE on the kernel's command line.
busybox=/bin/busybox
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sys /sys
$busybox mount -t devtmpfs dev /dev
$busybox --install -s /bin
export PATH=/bin HOME=/root LC_ALL=C.UTF-8

mount -t tmpfs tmp /tmp
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t tracefs tracing /sys/kernel/tracing
hostname damoos
ifconfig lo 127.0.0.1 up

zram_mib=0 rest_s=0 damon_stat=0
for word in $(cat /proc/cmdline); do
    case $word in
    damoos.zram_mib=*) zram_mib=${word#*=} ;;
    damoos.rest_s=*) rest_s=${word#*=} ;;
    damoos.damon_stat=*) damon_stat=${word#*=} ;;
    esac
done

# The same addresses each run, and no pages that move or gather by themselves between nodes.
echo 0 > /proc/sys/kernel/randomize_va_space
[ -f /proc/sys/kernel/numa_balancing ] && echo 0 > /proc/sys/kernel/numa_balancing
[ "$damon_stat" = 0 ] && [ -f /sys/module/damon_stat/parameters/enabled ] &&
    echo N > /sys/module/damon_stat/parameters/enabled

for name in $(cat /mod/order); do
    insmod "/mod/$name.ko"
done
if [ "$zram_mib" != 0 ]; then
    echo "${zram_mib}M" > /sys/block/zram0/disksize && mkswap /dev/zram0 > /dev/null && swapon /dev/zram0
fi
for controller in memory cpu; do
    echo "+$controller" > /sys/fs/cgroup/cgroup.subtree_control
done
# The first seconds after boot are up to three times slower than those that follow.
sleep "$rest_s"
exec /bin/python3 -I -S /guest.py
