package main

// reasons says why goals were missed, with the profiles of this run.
func reasons(_ []goal, profiles []string) []string {
	if len(profiles) == 0 {
		return nil
	}
	return append([]string{"## Where goals are missed"}, profiles...)
}
