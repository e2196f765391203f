package build

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// usersLock is held, shared, by every process that uses a cache.
const usersLock = "users"

// users is that lock. It ends with the process, or with the Cache.
type users struct{ f *os.File }

func (c *Cache) join() error {
	f, err := os.OpenFile(c.path("locks", usersLock), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	c.users = users{f}
	return c.users.share() // waits while somebody collects garbage
}

// share takes the lock as one of several.
func (u users) share() error {
	for {
		err := unix.Flock(int(u.f.Fd()), unix.LOCK_SH)
		if !errors.Is(err, unix.EINTR) {
			if err != nil {
				return fmt.Errorf("lock %s: %w", u.f.Name(), err)
			}
			return nil
		}
	}
}

// alone takes the lock for itself, if nobody else has it; else it stays shared.
func (u users) alone() (bool, error) {
	err := unix.Flock(int(u.f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, u.share() // a failed change may have given it up
	}
	return err == nil, err
}
