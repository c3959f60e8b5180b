// Go's net/http, with the deadline that a careful handler has: main [port].
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"time"
)

// Waits once, as a query does.
func work(ctx context.Context) error {
	runtime.Gosched()
	return ctx.Err()
}

func answer(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	if err := work(ctx); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	io.WriteString(w, "ok")
}

func main() {
	runtime.GOMAXPROCS(1)
	port := "0"
	if len(os.Args) > 1 {
		port = os.Args[1]
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	bound := listener.Addr().(*net.TCPAddr).Port
	fmt.Printf("http1 %d h2c %d\n", bound, bound)

	routes := http.NewServeMux()
	routes.HandleFunc("GET /x", answer)
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: routes, Protocols: &protocols}
	fmt.Fprintln(os.Stderr, server.Serve(listener))
	os.Exit(1)
}
