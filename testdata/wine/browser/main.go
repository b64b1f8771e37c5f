// Command browser is what a browser does as a Windows program, for the tests under Wine. The browser itself runs on Linux,
// where Wine's table of connections knows no owner for it, and an agent rightly refuses whom it cannot tell. So this program, a
// process of the same Windows user, takes its connections and hands each on, octet for octet; and it stands for the window
// that the agent starts and ends.
//
//	browser relay ADDRESS              prints a port; who connects to it is connected to ADDRESS
//	browser window DRIVER URL          tells DRIVER the address to show, and stays until one of the two ends
//
// It understands nothing of what it hands on, is part of no package, and is never shipped.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

func main() {
	if err := act(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "browser:", err)
		os.Exit(1)
	}
}

func act(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "relay":
		return relay(args[1])
	case len(args) == 3 && args[0] == "window":
		return window(args[1], args[2])
	default:
		return fmt.Errorf("usage: browser relay ADDRESS | window DRIVER URL")
	}
}

func relay(address string) error {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for {
		page, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer page.Close()
			agent, err := net.Dial("tcp4", address)
			if err != nil {
				return // as when nobody listens there
			}
			defer agent.Close()
			ended := make(chan struct{}, 2)
			pass := func(to, from net.Conn) {
				_, _ = io.Copy(to, from)
				_ = to.(*net.TCPConn).CloseWrite()
				ended <- struct{}{}
			}
			go pass(agent, page)
			go pass(page, agent)
			<-ended
			<-ended
		}()
	}
}

// window ends with status 0 when the person has closed the window.
func window(driver, url string) error {
	conn, err := net.Dial("tcp4", driver)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := fmt.Fprintln(conn, url); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, conn)
	return err
}
