package main

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// What a load came to.
type figures struct {
	took  time.Duration
	each  []time.Duration
	inCPU time.Duration
}

// run does some work so many times, so many at once, and measures each time. The first error ends it.
func run(count, inFlight, serverPID int, work func(worker, number int) error) (figures, error) {
	var next atomic.Int64
	var failure atomic.Pointer[error]
	each := make([][]time.Duration, inFlight)
	var workers sync.WaitGroup
	cpu, err := processorTime(serverPID)
	if err != nil {
		return figures{}, err
	}
	began := time.Now()
	for worker := range inFlight {
		workers.Go(func() {
			for failure.Load() == nil {
				number := int(next.Add(1)) - 1
				if number >= count {
					return
				}
				before := time.Now()
				if err := work(worker, number); err != nil {
					failure.Store(&err)
					return
				}
				each[worker] = append(each[worker], time.Since(before))
			}
		})
	}
	workers.Wait()
	took := time.Since(began)
	if failure := failure.Load(); failure != nil {
		return figures{}, *failure
	}
	after, err := processorTime(serverPID)
	if err != nil {
		return figures{}, err
	}
	all := slices.Concat(each...)
	slices.Sort(all)
	return figures{took: took, each: all, inCPU: after - cpu}, nil
}

// tell prints the figures of a load as one line.
func (f figures) tell(what string) {
	fmt.Printf("%s: %d in %.2f s, %.0f/s, p50 %.2f ms, p99 %.2f ms",
		what, len(f.each), f.took.Seconds(), float64(len(f.each))/f.took.Seconds(),
		milliseconds(f.quantile(0.50)), milliseconds(f.quantile(0.99)))
	tellCPU(f.inCPU, len(f.each))
	fmt.Println()
}

// quantile is the time within which this part of the work was done.
func (f figures) quantile(part float64) time.Duration {
	if len(f.each) == 0 {
		return 0
	}
	return f.each[min(int(part*float64(len(f.each))), len(f.each)-1)]
}

// tellCPU continues a line with the server's processor time for each of what it did, if it was asked for.
func tellCPU(spent time.Duration, count int) {
	if spent > 0 && count > 0 {
		fmt.Printf(", server CPU %.1f us each", float64(spent.Microseconds())/float64(count))
	}
}

func milliseconds(duration time.Duration) float64 {
	return float64(duration.Microseconds()) / 1000
}
