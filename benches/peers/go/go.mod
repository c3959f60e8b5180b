module followthrough/peer

go 1.24
