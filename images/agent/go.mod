module createos.local/agent

go 1.22
