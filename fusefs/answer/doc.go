// Package answer decides with which error number a request to the mount is answered. A wrong number
// does harm: it may end a kind of request for the whole mount, leave a program waiting for ever, or
// read as an empty file.
package answer
