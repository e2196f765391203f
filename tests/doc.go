// Package tests holds what is true of the whole house rather than of one room.
// Boot tests are in tests/boot.
package tests
